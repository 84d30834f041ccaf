"""Shared memory on the client's side: its room, and the arrays that lie in it."""

import fcntl
import gc
import mmap
import os
from threading import Thread

import numpy as np
import pytest
from convserve.errors import InternalError
from convserve.tensors import TensorSpec
from convserve_client._leasing import map_sealed
from convserve_client._memory import SharedMemory

SIZE = 1 << 16
Y = TensorSpec("y", "float32", (4, 25))  # 400 bytes


@pytest.fixture
def ends():
    return []


@pytest.fixture
def memory(ends):
    return SharedMemory("l-1", mmap.mmap(-1, SIZE), lambda: ends.append("ended"))


def is_whole(memory):
    """Whether everything is free, in one piece."""
    gc.collect()
    spans = memory.allocate([SIZE])
    memory.free(spans or ())
    return spans == [(0, SIZE)]


def test_the_lowest_room_is_given_first_and_given_again(memory):
    first, second = memory.allocate([100, 64])
    assert (first, second) == ((0, 128), (128, 192))
    memory.free([first])
    assert memory.allocate([1]) == [(0, 64)]
    assert memory.allocate([65]) == [(192, 320)]


def test_a_call_gets_all_its_room_or_none(memory):
    assert memory.allocate([SIZE // 2, SIZE]) is None
    assert is_whole(memory)
    assert memory.allocate([SIZE]) == [(0, SIZE)]
    assert memory.allocate([1]) is None


def test_a_result_is_fresh_writable_and_contiguous(memory):
    [(start, _)] = memory.allocate([400])
    result = memory.result(Y, start)
    assert (result.shape, result.dtype) == ((4, 25), np.float32)
    assert result.flags.writeable
    assert result.flags.c_contiguous
    result[...] = 3
    np.testing.assert_array_equal(memory.array(Y, start), np.full((4, 25), 3, np.float32))


@pytest.mark.parametrize(
    "look",
    [
        lambda y: y[2:],
        lambda y: y.T,
        lambda y: y.view(np.int32),
        lambda y: memoryview(y),
        lambda y: np.frombuffer(y, np.uint8),
        lambda y: np.from_dlpack(y),
        lambda y: y.base,
        lambda y: np.lib.stride_tricks.sliding_window_view(y, (2, 2)),
        lambda y: y.reshape(-1)[::7].flat,
    ],
)
def test_its_room_is_free_when_nobody_has_the_result_nor_a_view_of_it(memory, look):
    [(start, _)] = memory.allocate([400])
    result = memory.result(Y, start)
    seen = look(result)
    del result
    assert not is_whole(memory)
    assert seen is not None
    del seen
    assert is_whole(memory)


def test_a_result_without_values_has_its_place_too(memory):
    [(start, _)] = memory.allocate([0])
    result = memory.result(TensorSpec("y", "float64", (0, 3)), start)
    assert result.shape == (0, 3)
    del result
    assert is_whole(memory)


def test_results_outlive_the_lease_and_the_object(memory, ends):
    [(start, _)] = memory.allocate([400])
    result = memory.result(Y, start)
    result[...] = 7
    memory.close()
    memory.close()
    assert ends == ["ended", "ended"]  # ending twice must do no harm
    assert memory.allocate([1]) is None
    del memory
    gc.collect()
    assert result.sum() == 700


def test_arrays_that_lie_there_are_found_if_they_are_as_they_would_be_sent(memory):
    [(start, _)] = memory.allocate([1 << 12])
    values = memory.result(TensorSpec("y", "float32", (32, 32)), start)
    assert memory.offset_of(values) == start
    assert memory.offset_of(values[1:]) == start + 128
    assert memory.offset_of(values.reshape(2, 16, 32)[1]) == start + 2048
    assert memory.offset_of(values.view(np.uint64)) == start
    for other in (
        values.T,
        values[:, 1:],
        values[:, 1:2],
        values.reshape(-1)[1:],
        values.view(">f4"),
        values.copy(),
        np.ones(5),
        np.ones(5)[1:],
        SharedMemory("l-2", mmap.mmap(-1, SIZE), list).array(Y, 0),
    ):
        assert memory.offset_of(other) is None


def test_arrays_may_end_in_any_thread_while_others_begin(memory):
    def work():
        for _ in range(300):
            spans = memory.allocate([400, 64])
            if spans is not None:
                (start, _), other = spans
                result = memory.result(Y, start)
                result[...] = start
                assert (result == start).all()
                memory.free([other])

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_whole(memory)


def test_a_process_that_was_forked_off_has_no_room_and_ends_nothing(memory, ends, monkeypatch):
    [(start, _)] = memory.allocate([400])
    result = memory.result(Y, start)
    pid = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid + 1)
        assert memory.allocate([1]) is None
        memory.close()
    assert ends == []
    assert result.shape == (4, 25)


def sealed(size, seals):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


BOTH = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@pytest.mark.parametrize(
    ("size", "seals"),
    [(SIZE, 0), (SIZE, fcntl.F_SEAL_GROW), (SIZE, fcntl.F_SEAL_SHRINK), (SIZE // 2, BOTH)],
)
def test_memory_that_could_be_cut_short_is_not_mapped(size, seals):
    with open(sealed(size, seals), "rb") as file, pytest.raises(InternalError, match="promised"):
        map_sealed(file.fileno(), SIZE)


def test_a_file_is_no_sealed_memory(tmp_path):
    (tmp_path / "file").write_bytes(bytes(SIZE))
    with open(tmp_path / "file", "r+b") as file, pytest.raises(InternalError, match="promised"):
        map_sealed(file.fileno(), SIZE)


def test_sealed_memory_is_mapped_for_writing():
    with open(sealed(SIZE, BOTH), "r+b") as file:
        with map_sealed(file.fileno(), SIZE) as mapping:
            mapping[:3] = b"abc"
        assert os.pread(file.fileno(), 3, 0) == b"abc"
