"""JAX: `lax.conv_general_dilated(x, (64, 3, 7, 7), window_strides=(2, 2), padding="SAME")`.

Sizes come from arrays, so the kernel's shape stands in its place: (K, C/groups, *kernel), and
(*kernel, C, K) for lax.conv_transpose, whose layout is another one by default. Pools are Flax's.
Rules: jax 0.10 (_src/lax/convolution.py, core.py): padding may be negative, and no size is refused.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import Ints, Pairs

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
    in_numbers,
    same,
    slide,
)
from convserve_server.planning.dialects.text import (
    MAX_NUMBERS,
    Symbol,
    TextFields,
    choice_of,
    ints_of,
    parse_call,
    unless,
    written,
)
from convserve_server.planning.dialects.words import (
    CONVS,
    POOLS,
    SAME,
    TRANSPOSED,
    Axis,
    Words,
)

_POSITIONS = {
    "conv_general_dilated": ("lhs", "rhs", "window_strides", "padding"),
    "conv_transpose": ("lhs", "rhs", "strides", "padding", "rhs_dilation"),
    "max_pool": ("inputs", "window_shape", "strides", "padding"),
    "avg_pool": ("inputs", "window_shape", "strides", "padding", "count_include_pad"),
}
_MODES = {"VALID": "valid", "SAME": "same_upper", "SAME_LOWER": "same_lower"}


def _reads(text: str) -> bool:
    return text.partition("(")[0].rpartition(".")[2].strip() in _POSITIONS


def read(text: str) -> Words:
    """A call of jax.lax, or of a pool of flax.linen."""
    call = parse_call(text)
    if call.short_name not in _POSITIONS:
        raise InvalidLayerError(f"{call.name!r} is none of {', '.join(_POSITIONS)}")
    fields = TextFields.of(call, _POSITIONS[call.short_name])
    fields.ignore("lhs", "inputs", "precision", "preferred_element_type")
    reader = {"conv_general_dilated": _read_conv, "conv_transpose": _read_transposed}
    words = reader[call.short_name](fields) if call.short_name in reader else None
    words = words or _read_pool(call.short_name, fields)
    fields.finish()
    return words


def _read_conv(fields: TextFields) -> Words:
    kernel = _read_kernel(fields)
    fields.fixed("dimension_numbers", None)
    fields.fixed("lhs_dilation", None, 1)
    fields.fixed("batch_group_count", 1)
    groups = fields.integer("feature_group_count", 1)
    return Words(
        kind="conv",
        rank=len(kernel) - 2,
        in_channels=kernel[1] * groups,
        out_channels=kernel[0],
        kernel_size=kernel[2:],
        stride=fields.ints("window_strides"),
        padding=_read_padding(fields, len(kernel) - 2),
        dilation=fields.optional_ints("rhs_dilation") or (1,),
        groups=groups,
        bias=False,
    )


def _read_transposed(fields: TextFields) -> Words:
    kernel = _read_kernel(fields)
    fields.fixed("dimension_numbers", None)
    is_adjoint = fields.flag("transpose_kernel", False)
    channels = kernel[-2:] if is_adjoint else kernel[:-3:-1]
    words = Words(
        kind=TRANSPOSED,
        rank=len(kernel) - 2,
        in_channels=channels[1],
        out_channels=channels[0],
        kernel_size=kernel[:-2],
        stride=fields.ints("strides"),
        padding=_read_padding(fields, len(kernel) - 2, ("VALID", "SAME")),
        dilation=fields.optional_ints("rhs_dilation") or (1,),
        bias=False,
    )
    flipped = "without transpose_kernel=True JAX flips no kernel: turn every spatial axis of it"
    return _from_forward(words if is_adjoint else evolve(words, notes=(flipped,)))


def _from_forward(words: Words) -> Words:
    """JAX counts padding around the spread input; ours is what is cut of the full result."""
    if isinstance(words.padding, str):
        return words
    spread = words.spread(words.rank)
    axes = [spread.axis(index, 1) for index in range(words.rank)]
    cuts = [(axis.span - 1 - axis.pair[0], axis.span - 1 - axis.pair[1]) for axis in axes]
    return evolve(
        words,
        padding=tuple((low, max(0, high)) for low, high in cuts),
        output_padding=tuple(max(0, -high) for _, high in cuts),
    )


def _read_pool(name: str, fields: TextFields) -> Words:
    window = fields.ints("window_shape")
    return Words(
        kind=name,
        rank=len(window),
        kernel_size=window,
        stride=fields.optional_ints("strides") or (1,) * len(window),
        padding=_read_padding(fields, len(window), default="VALID"),
        count_include_pad=fields.flag("count_include_pad", True),
    )


def _read_kernel(fields: TextFields) -> Ints:
    if not fields.has("rhs") or isinstance(shape := fields.take("rhs"), Symbol):
        raise InvalidLayerError(
            "the kernel's size is that of an array: write its shape in its place, such as "
            "rhs=(64, 3, 7, 7)",
            field="rhs",
        )
    kernel = ints_of("the kernel", "rhs", shape)
    if len(kernel) < 3:
        raise InvalidLayerError(
            f"the kernel's shape {kernel} lacks axes: two of channels, and one for each spatial "
            "axis",
            field="rhs",
        )
    return kernel


def _read_padding(
    fields: TextFields, rank: int, modes: tuple[str, ...] = tuple(_MODES), default: Any = ...
) -> str | Pairs:
    value = fields.take("padding", default)
    if isinstance(value, str):
        return _MODES[choice_of("the layer", "padding", value, modes)]
    pairs = value if isinstance(value, tuple | list) and len(value) <= MAX_NUMBERS else ()
    found = [ints_of("the layer", "padding", pair, low=-(2**31)) for pair in pairs]
    if len(found) != rank or any(len(pair) != 2 for pair in found):
        raise InvalidLayerError(
            f"padding {str(value)[:80]} is not one of {', '.join(modes)}, nor a (low, high) pair "
            f"for each of {rank} axes",
            field="padding",
        )
    return tuple((pair[0], pair[1]) for pair in found)


def write(words: Words) -> str:
    """The call of the same words."""
    if words.padding_mode != "zeros":
        raise InexpressibleError("only zeros can pad; jnp.pad before it can do more")
    if words.kind == "separable_conv":
        raise InexpressibleError("it takes two calls: one with feature_group_count=C, then 1x1")
    if words.both:
        raise InexpressibleError("padding is a mode or numbers, not both")
    if words.kind in POOLS:
        return _write_pool(words)
    return _write_transposed(words) if words.kind == TRANSPOSED else _write_conv(words)


def _write_conv(words: Words) -> str:
    return written(
        "lax.conv_general_dilated",
        "x",
        (words.result_channels, words.in_channels // words.group_count, *words.kernel_size),
        window_strides=words.stride,
        padding=_write_padding(words),
        rhs_dilation=None if set(words.dilation) == {1} else words.dilation,
        feature_group_count=unless((words.group_count,), 1),
    )


def _write_transposed(words: Words) -> str:
    if words.groups != 1:
        raise InexpressibleError(
            "lax.conv_transpose has no groups; conv_general_dilated with lhs_dilation has"
        )
    if words.output_size is not None:
        raise InexpressibleError("a wanted output size cannot be told")
    return written(
        "lax.conv_transpose",
        "x",
        (*words.kernel_size, words.out_channels, words.in_channels),
        strides=words.stride,
        padding=_write_cuts(words),
        rhs_dilation=None if set(words.dilation) == {1} else words.dilation,
        transpose_kernel=True,
    )


def _write_cuts(words: Words) -> str | Pairs:
    if not isinstance(words.padding, str):
        extras = words.output_padding or (0,) * words.rank
        axes = [words.axis(index, 1) for index in range(words.rank)]
        return tuple(
            (axis.span - 1 - axis.pair[0], axis.span - 1 - axis.pair[1] + extra)
            for axis, extra in zip(axes, extras, strict=True)
        )
    if words.padding == "same_lower" or any(words.output_padding or ()):
        raise InexpressibleError("lax.conv_transpose has 'SAME' and 'VALID', or numbers")
    return _write_padding(words)


def _write_pool(words: Words) -> str:
    if words.ceil_mode or set(words.dilation) != {1}:
        raise InexpressibleError("a pool of Flax neither rounds up nor has a dilation")
    is_max = words.kind == "max_pool"
    return written(
        f"linen.{words.kind}",
        "x",
        words.kernel_size,
        strides=words.stride,
        padding=_write_padding(words),
        count_include_pad=None if words.count_include_pad or is_max else False,
    )


def _write_padding(words: Words) -> str | Pairs:
    padding = "same_upper" if words.padding == "same" else words.padding
    if not isinstance(padding, str):
        return padding
    known = {ours: theirs for theirs, ours in _MODES.items()}
    if padding not in known:
        raise InexpressibleError(f"padding is {', '.join(_MODES)} or numbers, not {padding!r}")
    return repr(known[padding])


def _windows(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return slide(axis, *same(axis, more_low=axis.padding == "same_lower"))
    low, high = axis.pair
    if axis.length + low + high < 0:
        raise RefusedError("the padded input would have a negative size")
    return slide(axis, low, high)


def _transposed(axis: Axis) -> Placement:
    if axis.padding in SAME:
        spread = axis.stride + axis.span - 2
        first = min(spread - spread // 2, axis.span - 1)
        return Placement(axis.length * axis.stride, axis.span - 1 - first)
    if axis.padding == "valid":
        return Placement(axis.natural + max(0, axis.stride - axis.span))
    low, high = axis.pair
    if axis.natural + axis.span - 1 - low - high + (axis.output_padding or 0) < 0:
        raise RefusedError("Negative padding is larger than the size of the dimension")
    return Placement(max(0, axis.natural - low - high + (axis.output_padding or 0)), low)


def meaning(words: Words, _: Ints | None) -> Words:
    """Numbers for the modes of a transposed layer."""
    if words.kind != TRANSPOSED or not isinstance(words.padding, str):
        return words
    return in_numbers(words, _transposed)


JAX = Dialect(
    name="jax",
    title="JAX",
    reads=_reads,
    read=read,
    write=write,
    meaning=meaning,
    runtimes=(
        Runtime(
            name="jax",
            version="0.10.2",
            rules=dict.fromkeys((*CONVS, *POOLS), _windows) | {TRANSPOSED: _transposed},
        ),
    ),
    weights={
        **dict.fromkeys(CONVS, "(K, C/groups, *kernel), as here"),
        TRANSPOSED: "(*kernel, K, C): np.moveaxis(weight, (0, 1), (-1, -2))",
    },
)
