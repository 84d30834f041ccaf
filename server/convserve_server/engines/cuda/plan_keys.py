"""Under what name plans of cuDNN and compiled kernels are kept: anew for what might change them."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import msgspec
from attrs import frozen

from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.kernels import headers, source_of
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Policy

FORMAT = 1  # of the files
MAX_DEVICES = 32  # whose fingerprints are kept
MAX_KEYS = 1 << 14  # that are kept
_PACKAGES = ("nvidia-cudnn-cu13", "nvidia-cudnn-frontend", "nvidia-cuda-nvrtc")
_PLACES = ("cudaDeviceId", "pciDeviceId")  # properties of a GPU's place, and not of its kind


@frozen
class BuildTarget:
    """What plans and kernels are made for: a kind of GPU, and what cuDNN may do there."""

    properties: DeviceProperties
    policy: Policy

    @property
    def architecture(self) -> str:
        """What kernels are compiled for: `sm_90`."""
        return f"sm_{json.loads(self.properties.text)['smVersion'] // 10}"


@lru_cache(MAX_DEVICES)
def fingerprint_of(properties: DeviceProperties) -> str:
    """A name for GPUs of one kind, wherever they are plugged in."""
    values = json.loads(properties.text)
    kind = {name: value for name, value in values.items() if name not in _PLACES}
    said = (properties.for_cudnn, properties.measured, json.dumps(kind, sort_keys=True))
    return _digest(said)[:32]


@lru_cache(MAX_KEYS)
def key_of(what: ConvGraph | Instance, target: BuildTarget) -> str:
    """Where something is kept: `<fingerprint>/<digest>`, anew for whatever might change it."""
    fingerprint = fingerprint_of(target.properties)
    if isinstance(what, Instance):
        source = (source_of(what), _headers_digest(), target.architecture)
        said: tuple[object, ...] = ("kernel", what, source)
    else:
        said = ("plan", what, target.policy)
    return f"{fingerprint}/{_digest((FORMAT, fingerprint, _versions(), *said))}"


def _digest(said: object) -> str:
    return sha256(msgspec.msgpack.encode(said)).hexdigest()


@cache
def _headers_digest() -> str:
    return _digest(headers())


@cache
def _versions() -> tuple[str, ...]:
    """The versions of what plans and compiles, as they are installed."""
    return tuple(map(_version, _PACKAGES))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
