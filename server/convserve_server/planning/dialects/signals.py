"""SciPy and its like: `scipy.signal.convolve(a, (5,), mode="same")`.

Convolutions of signals: one channel, stride 1, and a flipped kernel, whose shape or values stand in
its place. Rules: numpy 2.4, scipy 1.17, jax 0.10, DSP.jl 0.8, and the documentation of MATLAB's and
Octave's conv. They differ in where "same" begins, and in which operand may be the longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import Ints
from convserve.operations import MODES
from convserve.tensors import Shape

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Place,
    Placement,
    RefusedError,
    Runtime,
)
from convserve_server.planning.dialects.text import Symbol, TextFields, ints_of, parse_call, written
from convserve_server.planning.dialects.words import NO_PADDING, SAME, Axis, Words

# name -> (names of its arguments, mode by default, whether it flips the kernel)
_FUNCTIONS = {
    "convolve": (("in1", "in2", "mode", "method"), "full", True),
    "correlate": (("in1", "in2", "mode", "method"), "full", False),
    "fftconvolve": (("in1", "in2", "mode"), "full", True),
    "oaconvolve": (("in1", "in2", "mode"), "full", True),
    "convolve2d": (("in1", "in2", "mode", "boundary", "fillvalue"), "full", True),
    "correlate2d": (("in1", "in2", "mode", "boundary", "fillvalue"), "full", False),
    "conv": (("in1", "in2", "mode"), "full", True),
}
_MODULES = ("", "scipy.signal", "signal", "np", "numpy", "jnp", "jax.numpy", "jax.scipy.signal")
FLIPPED = "the kernel is flipped here: weight[..., ::-1] on every spatial axis"


def _reads(text: str) -> bool:
    module, _, name = text.partition("(")[0].strip().rpartition(".")
    return name in _FUNCTIONS and module in _MODULES


def read(text: str) -> Words:
    """A call of a function on signals."""
    call = parse_call(text)
    if call.short_name not in _FUNCTIONS:
        raise InvalidLayerError(f"{call.name!r} is none of {', '.join(_FUNCTIONS)}")
    positions, mode, flips = _FUNCTIONS[call.short_name]
    if call.name in ("np.correlate", "numpy.correlate", "jnp.correlate"):
        mode = "valid"
    fields = TextFields.of(call, positions)
    fields.ignore("in1", "a", "method", "precision")
    kernel = _kernel(fields)
    padding = fields.choice("mode", mode, MODES)
    fields.fixed("boundary", "fill")
    fields.fixed("fillvalue", 0)
    fields.finish()
    return Words(
        kind="conv",
        rank=len(kernel),
        kernel_size=kernel,
        padding=padding,
        in_channels=1,
        out_channels=1,
        bias=False,
        notes=(FLIPPED,) if flips else (),
    )


def _kernel(fields: TextFields) -> Ints:
    """The shape of the second operand: of a tuple as it is, of a list as that of its values."""
    value = fields.take("in2", None) if fields.has("in2") else fields.take("v", None)
    if isinstance(value, list) and value:
        return _shape_of(value)
    if value is None or isinstance(value, Symbol):
        raise InvalidLayerError(
            "how long the second operand is decides: write its shape in its place, such as (5,)",
            field="in2",
        )
    return ints_of("the call", "in2", value)


def _shape_of(values: Any) -> Ints:
    shape: list[int] = []
    while isinstance(values, list) and values:
        shape.append(len(values))
        values = values[0]
    return tuple(shape)


def meaning(words: Words, _: Ints | None) -> Words:
    """SciPy's "same" has the larger half at the start."""
    return evolve(words, padding="same_lower") if words.padding == "same" else words


def write(words: Words) -> str:
    """The call of the same words, on one channel; the kernel's shape stands in its place."""
    if words.kind != "conv" or words.in_channels != 1 or words.out_channels != 1:
        raise InexpressibleError("it convolves single channels")
    if {*words.stride, *words.dilation} != {1} or words.padding_mode != "zeros":
        raise InexpressibleError("it has neither stride nor dilation, and zeros around")
    if words.bias:
        raise InexpressibleError("there is no bias")
    return written("scipy.signal.convolve", "x", words.kernel_size, mode=repr(_mode(words)))


def _mode(words: Words) -> str:
    if words.padding in SAME:
        return "same"
    if words.padding in ("valid", NO_PADDING * words.rank):
        return "valid"
    full = tuple((size - 1, size - 1) for size in words.kernel_size)
    if words.padding == "full" or words.padding == full:
        return "full"
    raise InexpressibleError(f"it is full, same or valid, not {words.padding}")


def _check(words: Words, shape: Shape) -> None:
    pairs = list(zip(shape[1:], words.kernel_size, strict=True))
    if 0 in shape:
        raise RefusedError("ValueError: an operand is empty")
    is_mixed = any(a < v for a, v in pairs) and any(a > v for a, v in pairs)
    if _mode(words) == "valid" and is_mixed:
        raise RefusedError(
            "For 'valid' mode, one must be at least as large as the other in every dimension"
        )


def _check_line(words: Words, shape: Shape) -> None:
    if len(shape) != 2:
        raise RefusedError("it takes signals of one axis")
    _check(words, shape)


# Each keeps a part of the full result, whose element o is the window that begins at o - (k - 1).


def _swapping(axis: Axis) -> Placement:
    """SciPy: "same" is as long as the first operand; "valid" takes the two in either order."""
    if _mode_of(axis) == "valid" and axis.kernel_size > axis.length:
        return Placement(axis.kernel_size - axis.length + 1, axis.kernel_size - axis.length)
    return _kept(axis, (axis.kernel_size - 1) // 2)


def _longest(axis: Axis) -> Placement:
    """NumPy: "same" is as long as the longer operand."""
    if _mode_of(axis) == "same" and axis.kernel_size > axis.length:
        return Placement(axis.kernel_size, axis.kernel_size - 1 - (axis.length - 1) // 2)
    return _swapping(axis)


def _matlab(axis: Axis) -> Placement:
    """MATLAB: "same" begins at ceil((k - 1) / 2), and "valid" swaps nothing."""
    return _kept(axis, axis.kernel_size // 2)


def _image_convolve(axis: Axis) -> Placement:
    return _matlab(_needing(axis, "same"))


def _image_correlate(axis: Axis) -> Placement:
    return _swapping(_needing(axis, "same"))


def _full_only(axis: Axis) -> Placement:
    return _swapping(_needing(axis, "full"))


def _needing(axis: Axis, mode: str) -> Axis:
    if _mode_of(axis) != mode:
        raise RefusedError(f"its only mode is {mode!r}")
    return axis


def _kept(axis: Axis, offset: int) -> Placement:
    """`offset` is where "same" begins in the full result."""
    length, kernel = axis.length, axis.kernel_size
    if _mode_of(axis) == "full":
        return Placement(length + kernel - 1, kernel - 1)
    if _mode_of(axis) == "valid":
        return Placement(max(length - kernel + 1, 0))
    return Placement(length, kernel - 1 - offset)


def _mode_of(axis: Axis) -> str:
    if isinstance(axis.padding, str):
        return "same" if axis.padding in SAME else axis.padding
    return "full" if axis.pair == (axis.kernel_size - 1,) * 2 and axis.kernel_size > 1 else "valid"


def _call(function: str) -> Callable[[Words], str]:
    def spell(words: Words) -> str:
        return written(function, "x", words.kernel_size, mode=repr(_mode(words)))

    return spell


def _convolve1d(words: Words) -> str:
    return written("scipy.ndimage.convolve1d", "x", words.kernel_size, mode="'constant'")


def _correlate1d(words: Words) -> str:
    return written("scipy.ndimage.correlate1d", "x", words.kernel_size, mode="'constant'")


def _conv(words: Words) -> str:
    return written("conv", "x", words.kernel_size, f'"{_mode(words)}"')


def _dsp(words: Words) -> str:
    return written("DSP.conv", "x", words.kernel_size)


def _runtime(
    name: str, version: str, rule: Place, spell: Callable[[Words], str], *, has_line: bool = True
) -> Runtime:
    check = _check_line if has_line else _check
    return Runtime(name=name, version=version, rules={"conv": rule}, check=check, write=spell)


SIGNALS = Dialect(
    name="scipy",
    title="SciPy",
    reads=_reads,
    read=read,
    write=write,
    meaning=meaning,
    runtimes=(
        _runtime("scipy", "1.17.1", _swapping, write, has_line=False),
        _runtime("numpy", "2.4.6", _longest, _call("np.convolve")),
        _runtime("jax_scipy", "0.10.2", _swapping, _call("jsp.signal.convolve"), has_line=False),
        _runtime("jax_numpy", "0.10.2", _longest, _call("jnp.convolve")),
        _runtime("scipy_ndimage_convolve1d", "1.17.1", _image_convolve, _convolve1d),
        _runtime("scipy_ndimage_correlate1d", "1.17.1", _image_correlate, _correlate1d),
        _runtime("matlab_conv", "documentation, not run", _matlab, _conv),
        _runtime("octave", "conv.m at 69730efd, not run", _matlab, _conv),
        _runtime("dsp_jl", "0.8.5, not run", _full_only, _dsp),
    ),
    weights={"conv": f"(*kernel,): {FLIPPED}"},
)
