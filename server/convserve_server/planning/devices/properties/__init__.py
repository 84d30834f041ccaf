"""What cuDNN asks of a GPU, as data: one file per device, so that no GPU need be there.

`measured` says whether the properties were read off a device
(`cudnn.create_device_properties(0).serialize()`) or put together from public attributes, which may
rank kernels differently. Which properties cuDNN wants depends on its version.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from attrs import frozen


@frozen
class DeviceProperties:
    """The properties of one GPU. `text` is the JSON that cuDNN reads."""

    device: str
    for_cudnn: str
    source: str
    measured: bool
    text: str


@lru_cache
def property_devices() -> tuple[str, ...]:
    """The devices whose properties are known."""
    names = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@lru_cache
def device_properties(device: str) -> DeviceProperties:
    """The properties of a device. Raises KeyError if they are not known."""
    if device not in property_devices():
        raise KeyError(device)
    document = json.loads((files(__name__) / f"{device}.json").read_text())
    return DeviceProperties(
        device=document["device"],
        for_cudnn=document["for_cudnn"],
        source=document["source"],
        measured=document["measured"],
        text=json.dumps(document["device_properties"]),
    )
