"""What a layer's numbers and modes mean on each axis, worked out apart from the planner."""

from __future__ import annotations

from itertools import count
from typing import Any

from attrs import evolve
from convserve.layers import ConvTranspose
from convserve.layers.fields import Ints
from convserve.tensors import Shape

PER_AXIS = ("kernel_size", "stride", "dilation", "output_padding", "scale")


def resolved(spec: Any, sizes: Shape, kernel_size: Ints = ()) -> Any:
    """A layer or gradient with one number per spatial axis, and its padding in pairs.

    `sizes` are the input's; `kernel_size` is for gradients that do not know theirs.
    """
    rank = len(sizes)
    if getattr(spec, "stride", ()) is None:
        spec = evolve(spec, stride=spec.kernel_size)
    for name in PER_AXIS:
        if getattr(spec, name, None) is not None:
            spec = evolve(spec, **{name: _spread(getattr(spec, name), rank)})
    if isinstance(spec, ConvTranspose):
        return _transposed(spec, sizes)
    if not hasattr(spec, "padding"):
        return spec
    if not isinstance(spec.padding, str):
        return evolve(spec, padding=_spread(spec.padding, rank))
    numbers = zip(
        sizes,
        kernel_size or spec.kernel_size,
        spec.stride,
        getattr(spec, "dilation", (1,) * rank),
        strict=True,
    )
    return evolve(spec, padding=tuple(_padding(spec.padding, *each) for each in numbers))


def _spread(values: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    return values * rank if len(values) == 1 else values


def _padding(mode: str, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    reach = dilation * (kernel - 1)  # from a window's first tap to its last
    if mode in ("valid", "causal", "full"):
        return {"valid": (0, 0), "causal": (reach, 0), "full": (reach, reach)}[mode]
    wanted = len(range(0, size, stride))
    total = next(t for t in count() if len(range(0, size + t - reach, stride)) >= wanted)
    return _halves(total, mode)


def _halves(total: int, mode: str) -> tuple[int, int]:
    return (
        (total - total // 2, total // 2) if mode == "same_lower" else (total // 2, -(-total // 2))
    )


def _transposed(layer: ConvTranspose, sizes: Shape) -> ConvTranspose:
    """The ends of the full result that are cut, and what is added behind it."""
    numbers = zip(sizes, layer.stride, layer.kernel_size, layer.dilation, strict=True)
    full = [(size - 1) * s + (k - 1) * d + 1 for size, s, k, d in numbers]
    if isinstance(layer.padding, str) and layer.padding != "valid":
        excess = [a - size * s for a, size, s in zip(full, sizes, layer.stride, strict=True)]
        padding = tuple(_halves(max(0, more), layer.padding) for more in excess)
        extra = tuple(max(0, -more) for more in excess)
    else:
        given = ((0, 0),) if layer.padding == "valid" else layer.padding
        padding, extra = _spread(given, len(sizes)), layer.output_padding
    if layer.output_size is not None:
        left = [a - low - high for a, (low, high) in zip(full, padding, strict=True)]
        extra = tuple(size - a for size, a in zip(layer.output_size, left, strict=True))
    return evolve(layer, padding=padding, output_padding=extra, output_size=None)
