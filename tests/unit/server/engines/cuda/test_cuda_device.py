"""What the GPU's device hands to CUDA, and what it makes of CUDA's errors."""

import logging

import numpy as np
import pytest
from convserve.errors import TooLargeError
from convserve_server.engines.cuda.cuda_device import CudaDevice
from convserve_server.engines.cuda.cuda_faults import Faults
from convserve_server.engines.cuda.cuda_lane import Kernel
from convserve_server.engines.cuda.device import DeviceLostError
from convserve_server.engines.cuda.graphs import BIAS, INPUT, OUTPUT, WEIGHT, ConvGraph, Prepared
from convserve_server.planning.kernels import FORWARD, Convolution

from tests.fakes.cuda_libraries import CudaError, fake_libraries

GIB = 1 << 30
ILLEGAL_ADDRESS, INVALID_VALUE = 700, 1
CONVOLUTION = Convolution(
    FORWARD, "float32", (1, 8, 4, 4), (8, 8, 1, 1), (1, 8, 4, 4), (1, 1), ((0, 0),) * 2, (1, 1)
)


def open_device(memory_bytes=GIB, **options):
    libraries = fake_libraries(**options)
    return CudaDevice(memory_bytes, libraries), libraries


def test_all_memory_is_taken_at_once_but_for_a_margin():
    device, libraries = open_device(0, free=100 * GIB, total=140 * GIB)
    assert device.byte_count == (100 - 7) * GIB
    assert ("malloc", device.byte_count) in libraries.runtime.calls
    assert device.facts.memory_bytes == device.byte_count
    assert (device.facts.name, device.facts.compute_capability) == ("Fake GPU", "9.0")
    assert CudaDevice(0, fake_libraries(free=10 * GIB, total=16 * GIB)).byte_count == 8 * GIB


@pytest.mark.parametrize("wanted", [0, 3 * GIB])
def test_a_gpu_that_is_full_is_refused_with_the_numbers(wanted):
    with pytest.raises(TooLargeError, match=f"{GIB} are free"):
        open_device(wanted, free=GIB, total=16 * GIB)


@pytest.mark.parametrize(("pitch", "call"), [(16, "memcpyAsync"), (24, "memcpy2DAsync")])
def test_rows_are_copied_at_their_pitches(pitch, call):
    device, libraries = open_device()
    lane = device.lane()
    host = np.arange(3 * pitch, dtype=np.uint8).reshape(3, pitch)
    memory = np.zeros((3, 16), np.uint8)
    lane.upload(memory.ctypes.data, 16, host.ctypes.data, pitch, 16, 3)
    np.testing.assert_array_equal(memory, host[:, :16])
    back = np.zeros((3, pitch), np.uint8)
    lane.download(back.ctypes.data, pitch, memory.ctypes.data, 16, 16, 3)
    np.testing.assert_array_equal(back[:, :16], memory)
    assert libraries.runtime.calls[-2:] == [(call, 1, 7), (call, 2, 7)]


def test_one_row_is_copied_as_bytes_whatever_its_pitch():
    device, libraries = open_device()
    host, memory = np.arange(16, dtype=np.uint8), np.zeros(16, np.uint8)
    device.lane().upload(memory.ctypes.data, 99, host.ctypes.data, 98, 16, 1)
    np.testing.assert_array_equal(memory, host)
    assert libraries.runtime.calls[-1][0] == "memcpyAsync"


@pytest.mark.parametrize(("count", "blocks"), [(1, 1), (256, 1), (257, 2), (1 << 50, 2**31 - 1)])
def test_a_kernel_is_given_its_struct_by_value(count, blocks):
    arguments = bytes(range(200))
    device, libraries = open_device(argument_bytes=200)
    device.lane().launch(Kernel(None, 42), arguments, count)
    launch = (42, (blocks, 1, 1), (256, 1, 1), 7, arguments, 0)
    assert libraries.driver.launches == [launch]


def test_a_plan_is_given_addresses_by_number():
    device, libraries = open_device()
    plan = device.load_plan(ConvGraph(CONVOLUTION), Prepared(blob=b"\x01\x02"))
    lane = device.lane()
    lane.convolve(plan, {OUTPUT: 30, INPUT: 10, BIAS: 40, WEIGHT: 20}, 99)
    ((pointers, workspace, index, handle),) = libraries.cudnn.executed
    assert pointers == {1: 10, 2: 20, 3: 30, 4: 40}
    assert (workspace, index) == (99, 0)
    assert handle is libraries.cudnn.handles[-1]


def test_a_recording_that_fails_ends_the_capture():
    device, _ = open_device()
    lane = device.lane()
    lane.replay(lane.record(lambda: None))

    def give():
        raise RuntimeError("it waits")

    with pytest.raises(RuntimeError, match="it waits"):
        lane.record(give)
    lane.close()
    notes = ["begin", "end", "launch", "begin", "end", "synchronize"]
    assert lane.stream.notes == notes


def test_memory_is_pinned_until_it_is_unpinned_or_the_device_closed():
    device, libraries = open_device()
    device.pin(4096, 8192)
    device.pin(65536, 4096)
    device.unpin(4096)
    device.unpin(4096)
    device.lane()
    device.close()
    device.close()
    ended = [call for call in libraries.runtime.calls if call[0] in ("hostUnregister", "free")]
    assert ended == [("hostUnregister", 4096), ("hostUnregister", 65536), ("free", 1 << 30)]
    assert libraries.cudnn.handles == []


def test_memory_that_cannot_be_pinned_is_no_failure(caplog):
    device, libraries = open_device()
    libraries.runtime.refused["hostRegister"] = INVALID_VALUE
    with caplog.at_level(logging.WARNING):
        device.pin(4096, 8192)
    assert "8192 bytes could not be pinned" in caplog.text
    device.unpin(4096)
    assert ("hostUnregister", 4096) not in libraries.runtime.calls


def test_an_error_that_breaks_the_context_loses_the_device():
    device, libraries = open_device()
    libraries.runtime.status = ILLEGAL_ADDRESS
    with pytest.raises(DeviceLostError, match="illegal address"):
        device.lane().upload(0, 0, 0, 0, 0, 1)
    with pytest.raises(DeviceLostError):
        device.pin(4096, 8192)


def test_other_errors_pass():
    with pytest.raises(CudaError), Faults(lambda: None):
        raise CudaError(INVALID_VALUE)
    with pytest.raises(KeyboardInterrupt), Faults(lambda: pytest.fail("asked")):
        raise KeyboardInterrupt


def test_a_librarys_error_is_traced_to_cudas():
    def broken():
        raise CudaError(ILLEGAL_ADDRESS)

    def refused():
        raise CudaError(INVALID_VALUE)

    with pytest.raises(DeviceLostError, match="illegal address"), Faults(broken):
        raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")
    with pytest.raises(RuntimeError, match="CUDNN"), Faults(refused):
        raise RuntimeError("CUDNN_STATUS_BAD_PARAM")
