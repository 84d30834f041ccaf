"""The devices that a plan or a run may name. They are data: whoever knows them hands them in."""

from __future__ import annotations

from collections.abc import Sequence

from convserve.errors import DeviceNotFoundError
from convserve.plans import Device


def cpu_device(memory_bytes: int, thread_count: int) -> Device:
    """The processor of this machine, with the bytes that tensors may take."""
    return Device(
        name="cpu",
        engine="cpu",
        description=f"CPU, {thread_count} threads",
        memory_bytes=memory_bytes,
        thread_count=thread_count,
    )


def find_device(devices: Sequence[Device], name: str) -> Device:
    """The device called `name`; the first one for an empty name. Raises DeviceNotFoundError."""
    for device in devices:
        if name in ("", device.name):
            return device
    known = ", ".join(device.name for device in devices)
    raise DeviceNotFoundError(
        f"there is no device {name!r}; use one of {known}",
        field="device",
        metadata={"value": name, "known": known},
    )
