"""What the parts of the oracle share."""

from __future__ import annotations

from collections.abc import Callable

from convserve.layers.fields import Pairs
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # as everyone writes it


def by_rank(name: str, x: Tensor) -> Callable[..., Tensor]:
    """The PyTorch function `name` for the rank of `x`, such as conv2d."""
    function: Callable[..., Tensor] = getattr(F, f"{name}{x.ndim - 2}d")
    return function


def pad(x: Tensor, padding: Pairs, mode: str = "zeros", value: float = 0.0) -> Tensor:
    """Pairs of padding around the spatial axes."""
    flat = [size for pair in reversed(padding) for size in pair]
    return F.pad(x, flat, value=value) if mode == "zeros" else F.pad(x, flat, mode=mode)
