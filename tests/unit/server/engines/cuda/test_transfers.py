"""Copies to and from a device give what NumPy gives, and are few."""

import itertools

import numpy as np
import pytest
from convserve.tensors import dtype_name, dtype_of
from convserve_server.engines.cuda.transfers import MAX_COPIES, fetch, find_copies, layout_of, send
from convserve_server.engines.cuda.views import new_view

from tests.fakes.host_convolution import array_at
from tests.fakes.host_device import HostDevice

SHAPES = ((5,), (3, 4), (2, 3, 5), (2, 20, 9, 7), (1, 1, 6, 40), (2, 3, 4, 5, 6), (2, 0, 3))
DTYPES = ("float32", "uint8", "bfloat16")


def tiles(array):
    """Views of an array, with gaps and turned round."""
    yield array
    yield array[tuple(slice(size // 3, None) for size in array.shape)]
    yield array[tuple(slice(None, None, 2) for _ in array.shape)]
    yield array[tuple(slice(None, None, -1) for _ in array.shape)]
    yield np.broadcast_to(array[:1], array.shape)


def in_order(array, axes):
    """An equal array, of which the last of `axes` is the fastest in memory."""
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def all_arrays():
    for shape, dtype in itertools.product(SHAPES, DTYPES):
        array = np.random.default_rng(7).integers(0, 99, shape).astype(dtype_of(dtype))
        for axes in itertools.islice(itertools.permutations(range(len(shape))), 0, None, 5):
            yield from tiles(in_order(array, axes))


def array_of(view, address):
    return array_at(address + view.offset * view.item_bytes, view.dtype, view.shape, view.strides)


@pytest.fixture
def device():
    device = HostDevice(1 << 20)
    device.poison()
    return device


@pytest.mark.parametrize("last", [False, True])
def test_what_is_sent_is_there_and_comes_back(device, last):
    lane = device.lane()
    for array in all_arrays():
        view = new_view("b", dtype_name(array.dtype), array.shape, last=last)
        sent = send(lane, array, view, device.base)
        lane.mark().wait()
        del sent
        np.testing.assert_array_equal(array_of(view, device.base), array)
        place = np.zeros_like(array)
        fetched = fetch(lane, view, device.base, place)
        lane.mark().wait()
        np.testing.assert_array_equal(fetched.finish(), array)
        assert fetched.place is place


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [(2, 8, 9), (3, 4, 6, 30), (2, 3, 5, 6, 40)])
def test_a_part_of_a_result_comes_alone(device, shape, last):
    lane = device.lane()
    array = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    view = new_view("b", "float32", shape, last=last)
    array_of(view, device.base)[...] = array
    index = (slice(None), slice(None), *(slice(1, size - 1) for size in shape[2:]))
    for place in (np.zeros(array[index].shape, np.float32), np.zeros(shape, np.float32)[index]):
        fetched = fetch(lane, view, device.base, place, index)
        lane.mark().wait()
        np.testing.assert_array_equal(fetched.finish(), array[index])


def test_rows_of_a_batch_are_sent_to_their_own(device):
    lane = device.lane()
    view = new_view("b", "float32", (5, 4, 3, 6), last=True)
    parts = [np.full((rows, 4, 3, 6), rows, np.float32) for rows in (2, 3)]
    sent = [
        send(lane, part, view.sliced(0, start, len(part)), device.base)
        for part, start in zip(parts, (0, 2), strict=True)
    ]
    lane.mark().wait()
    assert len(sent) == 2
    np.testing.assert_array_equal(array_of(view, device.base), np.concatenate(parts))


def copies_of(array, *, last=False):
    return find_copies(array, new_view("b", dtype_name(array.dtype), array.shape, last=last))


def test_what_has_no_gaps_is_one_copy_in_either_order():
    array = np.zeros((2, 16, 5, 7), np.float32)
    (copy,) = copies_of(array)
    assert (copy.width, copy.rows) == (array.nbytes, 1)
    (copy,) = copies_of(in_order(array, (0, 2, 3, 1)), last=True)
    assert (copy.width, copy.rows) == (array.nbytes, 1)


def test_a_tile_of_rows_is_one_copy_of_rows():
    whole = np.zeros((1, 16, 40, 32), np.float32)
    (copy,) = copies_of(whole[:, :, 8:16])
    assert (copy.rows, copy.width) == (16, 8 * 32 * 4)
    assert (copy.device_pitch, copy.host_pitch) == (8 * 32 * 4, 40 * 32 * 4)


def test_a_tile_of_two_axes_takes_a_copy_for_each_row_of_the_shorter():
    whole = np.zeros((2, 40, 30, 64), np.float32)
    copies = copies_of(whole[:, :, 3:20, 8:40])
    assert len(copies) == 17
    assert {(copy.rows, copy.width) for copy in copies} == {(2 * 40, 32 * 4)}


def test_too_many_copies_or_too_short_rows_are_gathered():
    many = np.zeros((MAX_COPIES + 2, MAX_COPIES + 2, 70), np.uint8)
    assert len(copies_of(many[: MAX_COPIES + 1, :MAX_COPIES, :69])) == MAX_COPIES
    assert copies_of(many[:-1, :-1, :69]) is None
    assert copies_of(np.zeros((9, 9, 8), np.float32)[:, :, :4]) is None
    assert copies_of(np.zeros((9, 9, 64), np.float32)[:, :, ::-1]) is None
    assert copies_of(np.zeros((4, 64, 8, 8), np.float32), last=True) is None


def test_an_empty_array_takes_no_copy(device):
    array = np.zeros((0, 3, 4), np.float32)
    assert copies_of(array) == ()
    assert send(device.lane(), array, new_view("b", "float32", (0, 3, 4)), device.base) is array


def test_what_is_further_apart_than_cuda_takes_is_copied_one_by_one():
    huge = np.lib.stride_tricks.as_strided(np.zeros(64, np.uint8), (3, 64), (1 << 31, 1))
    assert len(copies_of(huge)) == 3


@pytest.mark.parametrize(
    ("shape", "axes", "layout"),
    [
        ((2, 3, 4, 5), (0, 1, 2, 3), "channels_first"),
        ((2, 3, 4, 5), (0, 2, 3, 1), "channels_last"),
        ((2, 1, 4, 5), (0, 1, 2, 3), "channels_last"),
        ((2, 3, 1, 1), (0, 1, 2, 3), "channels_last"),
        ((2, 3, 1, 5), (0, 1, 2, 3), "channels_first"),
        ((2, 3), (0, 1), "channels_first"),
    ],
)
def test_the_layout_is_read_off_the_strides(shape, axes, layout):
    array = in_order(np.zeros(shape, np.float32), axes)
    assert layout_of(array) == layout
    padded = in_order(np.zeros([size + 1 for size in shape], np.float32), axes)
    if 1 not in shape:
        assert layout_of(padded[tuple(slice(size) for size in shape)]) == layout
