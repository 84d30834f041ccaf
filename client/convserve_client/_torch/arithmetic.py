"""Elementwise calls: activations, and arithmetic with constants or other signals."""

from __future__ import annotations

import math
from typing import Any

import torch
from convserve.errors import UnsupportedError
from convserve.layers import (
    ELU,
    GELU,
    Abs,
    Add,
    Clip,
    Div,
    Erf,
    Exp,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    Log,
    Mish,
    Mul,
    Power,
    ReLU,
    ReLU6,
    Scale,
    Sigmoid,
    SiLU,
    Softplus,
    Sqrt,
    Sub,
    Tanh,
)

from convserve_client._torch.site import Handler, Signal, Site, check_signal, refuse

SOFTPLUS_THRESHOLD = 20.0  # torch's default, above which log(1 + exp(x)) is x to 2e-9


def _plain(layer: Layer) -> Handler:
    def make(site: Site, x: Any, inplace: bool = False) -> Signal:
        return site.add(layer, x)

    return make


# Functions of one value, without arguments.
ACTIVATIONS: dict[str, Handler] = {
    "relu": _plain(ReLU()),
    "relu6": _plain(ReLU6()),
    "sigmoid": _plain(Sigmoid()),
    "silu": _plain(SiLU()),
    "tanh": _plain(Tanh()),
    "hardsigmoid": _plain(HardSigmoid()),
    "hardswish": _plain(HardSwish()),
    "mish": _plain(Mish()),
    "exp": _plain(Exp()),
    "sqrt": _plain(Sqrt()),
    "square": _plain(Power(2.0)),
    "reciprocal": _plain(Power(-1.0)),
    "rsqrt": _plain(Power(-0.5)),
    "abs": _plain(Abs()),
    "log": _plain(Log()),
    "erf": _plain(Erf()),
}


def identity(site: Site, x: Any, *args: Any, **kwargs: Any) -> Signal:
    """What changes no value in eval mode, whatever its other arguments are."""
    return check_signal(x)


def dropout(
    site: Site, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Signal:
    """Dropout, which does nothing in eval mode."""
    refuse(training and p > 0, "it is random: training=True holds in eval mode too")
    return check_signal(x)


def stochastic_depth(site: Site, x: Any, p: float, mode: str, training: bool = True) -> Signal:
    """torchvision's, which does nothing in eval mode."""
    return dropout(site, x, p, training)


def cast(site: Site, x: Any, *args: Any, **kwargs: Any) -> Signal:
    """`to`, float, type_as and the like, where they change no type."""
    before = check_signal(x).dtype
    refuse(before != site.dtype, f"it changes the type from {before} to {site.dtype}")
    return check_signal(x)


def leaky_relu(site: Site, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Signal:
    """`leaky_relu` with one constant slope."""
    return site.add(LeakyReLU(negative_slope), x)


def elu(site: Site, x: Any, alpha: float = 1.0, inplace: bool = False) -> Signal:
    """`elu`."""
    return site.add(ELU(alpha), x)


def gelu(site: Site, x: Any, approximate: str = "none") -> Signal:
    """`gelu` in its exact form."""
    refuse(approximate != "none", f"approximate={approximate!r} is not supported, only 'none'")
    return site.add(GELU(), x)


def softplus(
    site: Site, x: Any, beta: float = 1.0, threshold: float = SOFTPLUS_THRESHOLD
) -> Signal:
    """`softplus`; above its threshold torch's is x itself."""
    refuse(
        threshold < SOFTPLUS_THRESHOLD,
        f"threshold={threshold} is not supported, only {SOFTPLUS_THRESHOLD} and more",
    )
    return site.add(Softplus(beta), x)


def clip(site: Site, x: Any, min: Any = None, max: Any = None) -> Signal:  # noqa: A002  # torch's
    """`clamp` between numbers."""
    return site.add(Clip(_number(min), _number(max)), x)


def hardtanh(
    site: Site, x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Signal:
    """`hardtanh`."""
    return clip(site, x, min_val, max_val)


def power(site: Site, x: Any, exponent: Any) -> Signal:
    """A constant power."""
    number = _number(exponent)
    if number is None:
        raise UnsupportedError(f"the exponent {exponent} is not a finite number")
    return site.add(Power(number), x)


def negative(site: Site, x: Any) -> Signal:
    """The negative."""
    return mul(site, x, -1.0)


def add(site: Site, x: Any, other: Any, alpha: float = 1) -> Signal:
    """The sum, with a constant per channel or another signal."""
    refuse(alpha != 1, f"alpha={alpha} is not supported, only 1")
    x, y = (x, other) if isinstance(x, Signal) else (other, x)
    return _joined(site, Add(), x, y) if isinstance(y, Signal) else _scaled(site, x, None, y)


def mul(site: Site, x: Any, other: Any) -> Signal:
    """The product, with a constant per channel or another signal."""
    x, y = (x, other) if isinstance(x, Signal) else (other, x)
    return _joined(site, Mul(), x, y) if isinstance(y, Signal) else _scaled(site, x, y, None)


def sub(site: Site, x: Any, other: Any, alpha: float = 1) -> Signal:
    """The difference, also from a constant."""
    refuse(alpha != 1, f"alpha={alpha} is not supported, only 1")
    if isinstance(x, Signal) and isinstance(other, Signal):
        return _joined(site, Sub(), x, other)
    if isinstance(x, Signal):
        return _scaled(site, x, None, -other)
    return _scaled(site, other, -1.0, x)


def rsub(site: Site, x: Any, other: Any, alpha: float = 1) -> Signal:
    """The difference the other way round."""
    return sub(site, other, x, alpha)


def div(site: Site, x: Any, other: Any, rounding_mode: str | None = None) -> Signal:
    """The quotient, by a constant per channel or another signal."""
    refuse(rounding_mode is not None, f"rounding_mode={rounding_mode!r} is not supported")
    if not isinstance(other, Signal):
        return _scaled(site, x, 1 / other, None)
    if isinstance(x, Signal):
        return _joined(site, Div(), x, other)
    return _scaled(site, site.add(Power(-1.0), other), x, None)


def _joined(site: Site, layer: Layer, x: Any, y: Any) -> Signal:
    """Two signals, which broadcast along the axes of a sample."""
    x, y = check_signal(x), check_signal(y)
    refuse(
        x.rank != y.rank or x.shape[0] != y.shape[0],
        f"{x.shape} and {y.shape} do not have the same axes and batch",
    )
    return site.add(layer, x, y)


def _scaled(site: Site, x: Any, factor: Any, offset: Any) -> Signal:
    """`x * factor + offset`, with constants that differ along one axis at most."""
    x = check_signal(x)
    refuse(site.shape != x.shape, f"a constant widens {x.shape} to {site.shape}")
    given = [each for each in (factor, offset) if each is not None]
    axes = {axis for each in given for axis in _own_axes(each, x)}
    refuse(len(axes) > 1, "a constant differs along several axes, or along the batch")
    [axis] = axes or {1}
    weight = _along(1.0 if factor is None else factor, axis, x)
    bias = None if offset is None else _along(offset, axis, x)
    if not all(isinstance(each, torch.nn.Parameter) for each in given):
        count = len(given) * x.shape[axis]
        site.note(f"its constants become {count} parameters, along axis {axis}")
    return site.add(Scale(bias is not None, axis), x, weight=weight, bias=bias)


def _own_axes(constant: Any, x: Signal) -> set[int]:
    """The axes of x along which the constant has several values; the batch counts twice."""
    shape = tuple(getattr(constant, "shape", ()))
    axes = {x.rank - len(shape) + axis for axis, size in enumerate(shape) if size != 1}
    return axes if 0 not in axes else axes | {-1}


def _along(constant: Any, axis: int, x: Signal) -> torch.Tensor:
    """The constant's values along an axis."""
    return torch.as_tensor(constant, dtype=x.dtype).reshape(-1).expand(x.shape[axis])


def _number(value: Any) -> float | None:
    """A number, or none. Raises UnsupportedError for a tensor of several."""
    refuse(
        isinstance(value, Signal) or (isinstance(value, torch.Tensor) and value.numel() != 1),
        "only one constant number is supported",
    )
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
