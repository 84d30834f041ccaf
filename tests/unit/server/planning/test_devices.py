"""Finding a device by its name."""

from __future__ import annotations

import pytest
from convserve.errors import DeviceNotFoundError
from convserve.plans import Device
from convserve_server.planning.devices import cpu_device, find_device

DEVICES = [cpu_device(memory_bytes=2**30, thread_count=2), Device(name="h200", engine="cuda")]


def test_found_by_name_or_by_default():
    assert find_device(DEVICES, "h200").engine == "cuda"
    assert find_device(DEVICES, "") is find_device(DEVICES, "cpu")
    assert find_device(DEVICES, "cpu").memory_bytes == 2**30


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DeviceNotFoundError, match="'tpu'; use one of cpu, h200") as caught:
        find_device(DEVICES, "tpu")
    assert caught.value.field == "device"
