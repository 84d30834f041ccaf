"""Where maxima are, by hand and as PyTorch has it, and values put back there."""

import numpy as np
import pytest
import torch
from convserve.errors import InvalidArgumentError
from convserve.layers import MaxPoolIndices, MaxUnpool
from convserve.networks import Network
from convserve_server.engines.reference.engine import ReferenceEngine

from tests.running import run_once

PLANE = np.array([[[[1.0, 2.0, 9.0], [3.0, 4.0, 5.0], [8.0, 7.0, 6.0]]]])
ENGINE = ReferenceEngine()


def indices(x, **options):
    layer = MaxPoolIndices(**{"kernel_size": 2, "stride": 1} | options, name="indices")
    return run_once(ENGINE, layer, {"input": x})


def unpool(layer, x, at):
    return run_once(ENGINE, Network([layer], inputs=("x", "at")), {"x": x, "at": at})


def test_an_index_counts_the_plane_row_by_row():
    np.testing.assert_array_equal(indices(PLANE), [[[[4, 2], [6, 7]]]])


def test_an_index_counts_columns_first_if_asked():
    np.testing.assert_array_equal(indices(PLANE, column_major=True), [[[[4, 6], [2, 5]]]])


def test_an_index_counts_the_channels_before_if_asked():
    both = np.concatenate([PLANE, PLANE], axis=1)
    found = indices(both, scope="sample")
    np.testing.assert_array_equal(found[0, 1], found[0, 0] + 9)
    np.testing.assert_array_equal(indices(both)[0, 1], indices(both)[0, 0])


def test_of_equals_the_first_is_told_and_padding_never():
    flat = np.full((1, 1, 4), -np.inf)
    np.testing.assert_array_equal(indices(flat, kernel_size=3, padding=1), [[[0, 0, 1, 2]]])
    np.testing.assert_array_equal(indices(np.array([[[1.0, np.nan, np.nan, 3]]])), [[[1, 1, 2]]])


def test_a_window_of_padding_only_has_none():
    found = indices(np.ones((1, 1, 2)), padding=1, dilation=3)
    np.testing.assert_array_equal(found, [[[-1]]])


@pytest.mark.parametrize("padding", [0, 1])
def test_unpooling_is_pytorchs(padding):
    x = np.random.default_rng(5).normal(size=(2, 3, 9, 7))
    values, at = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), 3, 2, padding, return_indices=True
    )
    expected = torch.nn.functional.max_unpool2d(values, at, 3, 2, padding)
    layer = MaxUnpool(3, 2, padding, name="unpool", inputs=("x", "at"))
    found = unpool(layer, values.numpy(), at.numpy())
    kept = expected.numpy() != 0
    np.testing.assert_array_equal(found, expected.numpy())
    np.testing.assert_array_equal(found[kept], x[:, :, : found.shape[2], : found.shape[3]][kept])


def test_a_wanted_size_moves_the_places():
    layer = MaxUnpool(2, output_size=(3, 3), name="unpool", inputs=("x", "at"))
    found = unpool(layer, np.array([[[[5.0]]]]), np.array([[[[8]]]]))
    np.testing.assert_array_equal(found, [[[[0, 0, 0], [0, 0, 0], [0, 0, 5]]]])


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_outside_is_refused(index):
    layer = MaxUnpool(2, name="unpool", inputs=("x", "at"))
    with pytest.raises(
        InvalidArgumentError, match=f"unpool reads the index {index}, but"
    ) as caught:
        unpool(layer, np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), index))
    assert caught.value.field == "unpool"


def test_the_channels_may_be_counted_too():
    layer = MaxUnpool(2, name="unpool", inputs=("x", "at"), scope="sample")
    x, at = np.array([[[[5.0]], [[6.0]]]]), np.array([[[[7]], [[0]]]])
    np.testing.assert_array_equal(unpool(layer, x, at).reshape(-1), [6, 0, 0, 0, 0, 0, 0, 5])
