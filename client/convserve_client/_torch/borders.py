"""Calls that make the spatial axes longer or shorter: padding, resizing, expanding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convserve.layers import Pad, Upsample

from convserve_client._torch.axes import cut, reshaped
from convserve_client._torch.site import Handler, Signal, Site, check_signal, refuse
from convserve_client._torch.windows import adaptive_avg_pool

_MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate"}
_RESIZE = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
}
MAX_PADDED_AXES = 3  # what the layer pads: spatial axes


def pad(
    site: Site, x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Signal:
    """`pad`: (low, high) of the last axis first; what is negative is cut off."""
    inner = check_signal(x)
    last_first = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    pairs = [(0, 0)] * (inner.rank - len(last_first)) + last_first[::-1]
    refuse(pairs[0] != (0, 0), "it pads the batch, which no layer touches")
    refuse(mode != "constant" and min(map(min, pairs)) < 0, f"mode={mode!r} with negative padding")
    for axis, (low, high) in enumerate(pairs):
        inner = cut(site, inner, axis, max(-low, 0), high if high < 0 else None)
    pairs = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if not any(map(any, pairs)):
        return inner
    mode = _MODES.get(mode, mode)
    if pairs[1] == (0, 0):
        return site.add(Pad(pairs[2:], mode, value or 0.0), inner)
    return _padded_channels(site, inner, Pad(pairs[1:], mode, value or 0.0))


def _padded_channels(site: Site, x: Signal, layer: Pad) -> Signal:
    """Padding of channels, which for the layer are spatial axes of one channel."""
    refuse(x.rank - 1 > MAX_PADDED_AXES, f"it pads the channels of {x.shape}, with too many axes")
    batch, *sizes = x.shape
    single = reshaped(site, x, (batch, 1, *sizes))
    padded = site.add(layer, single, shape=(batch, 1, *site.shape[1:]))
    return reshaped(site, padded, site.shape)


def padding(mode: str) -> Handler:
    """The function of torch's modules for padding in one mode."""

    def make(site: Site, x: Any, padding: Sequence[int], value: float = 0.0) -> Signal:
        return pad(site, x, padding, mode, value)

    return make


def interpolate(
    site: Site,
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Signal:
    """`interpolate`, without antialiasing."""
    refuse(antialias, "antialias=True is not supported")
    if mode == "area":
        return adaptive_avg_pool(site, x, size)
    x = check_signal(x)
    old, new = x.shape[2:], site.shape[2:]
    if scale_factor is not None and not recompute_scale_factor:
        factors = (
            [scale_factor] * len(old) if isinstance(scale_factor, float | int) else scale_factor
        )
        refuse(
            any(n != o * factor for n, o, factor in zip(new, old, factors, strict=True)),
            f"scale_factor={scale_factor} of {old} is not whole: coordinates then follow the "
            "factor, not the sizes; give size, or recompute_scale_factor=True",
        )
    whole = all(n % o == 0 for n, o in zip(new, old, strict=True))
    layer = Upsample(
        [n // o for n, o in zip(new, old, strict=True)] if whole else None,
        _RESIZE[mode],
        bool(align_corners),
        size=None if whole else new,
        coordinates="half_pixel" if mode == "nearest-exact" else None,
        rounding="round_prefer_ceil" if mode == "nearest-exact" else None,
    )
    return site.add(layer, x)


def nearest(mode: str) -> Handler:
    """ATen's resizing of a mode that has no corners to align."""

    def make(site: Site, x: Any, size: Any = None, scale_factors: Any = None) -> Signal:
        return interpolate(site, x, size, scale_factors, mode)

    return make


def smooth(mode: str) -> Handler:
    """ATen's resizing of a mode that may align the corners."""

    def make(
        site: Site, x: Any, size: Any, align_corners: bool, scale_factors: Any = None
    ) -> Signal:
        return interpolate(site, x, size, scale_factors, mode, align_corners)

    return make


def expand(site: Site, x: Any, *args: Any, **kwargs: Any) -> Signal:
    """`expand` and expand_as: along spatial axes of size 1 it is the nearest neighbour."""
    signal = check_signal(x)
    if site.shape == signal.shape:
        return signal
    refuse(
        site.shape[:2] != signal.shape[:2] or len(site.shape) != signal.rank,
        f"from {signal.shape} to {site.shape} it repeats more than spatial axes",
    )
    return site.add(Upsample(size=site.shape[2:]), signal)
