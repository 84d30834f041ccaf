"""Caffe: `convolution_param { num_output: 64 kernel_size: 7 stride: 2 pad: 3 }`.

Rules: BVLC caffe at 9b891540 (conv_layer.cpp, deconv_layer.cpp, pooling_layer.cpp). A pool rounds
up by default, and drops a window that begins outside only where there is padding.
"""

from __future__ import annotations

from typing import Any

from convserve.errors import InvalidLayerError
from convserve.layers.fields import Ints, Pairs

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
    slide_up,
    truncated,
)
from convserve_server.planning.dialects.text import TextFields, check_length, reading
from convserve_server.planning.dialects.words import CONVS, POOLS, TRANSPOSED, Axis, Words
from convserve_server.planning.importers.caffe.text import Message, read_text

_TYPES = {"Convolution": "conv", "Deconvolution": TRANSPOSED, "Pooling": "pool"}
_V1_TYPES = {each.upper(): each for each in _TYPES}
_POOLS = {"MAX": "max_pool", "AVE": "avg_pool"}


def _reads(text: str) -> bool:
    return "{" in text and any(
        word in text for word in ("convolution_param", "pooling_param", "layer {", "layers {")
    )


def read(text: str) -> Words:
    """A layer, or its parameters alone."""
    with reading():
        message = read_text(check_length(text).encode())
    for name in ("layer", "layers"):
        if message.all(name):
            message = _one(message, name)
    type_ = _type(message)
    name = "pooling_param" if type_ == "Pooling" else "convolution_param"
    fields = TextFields(f"the {type_}", _one(message, name).values())
    words = _read_pool(fields) if type_ == "Pooling" else _read_conv(_TYPES[type_], fields)
    fields.finish()
    return words


def _one(message: Message, name: str) -> Message:
    values = message.all(name)
    if len(values) != 1 or not isinstance(values[0], Message):
        raise InvalidLayerError(f"there must be one {name} {{ ... }}", field=name)
    return values[0]


def _type(message: Message) -> str:
    default = "Pooling" if message.all("pooling_param") else "Convolution"
    given = [*message.all("type"), default][0]
    type_ = _V1_TYPES.get(str(given), str(given))
    if type_ not in _TYPES:
        raise InvalidLayerError(f"{type_[:40]!r} is none of {', '.join(_TYPES)}", field="type")
    return type_


def _read_conv(kind: str, fields: TextFields) -> Words:
    fields.ignore("weight_filler", "bias_filler", "engine", "force_nd_im2col")
    fields.fixed("axis", 1)
    kernel_size = _per_axis(fields, "kernel", "kernel_size", None)
    return Words(
        kind=kind,
        out_channels=fields.integer("num_output"),
        kernel_size=kernel_size,
        stride=_per_axis(fields, "stride", "stride", 1),
        padding=_pairs(_per_axis(fields, "pad", "pad", 0)),
        dilation=fields.ints("dilation", (1,)),
        groups=fields.integer("group", 1),
        bias=fields.flag("bias_term", True),
        rank=len(kernel_size) if len(kernel_size) > 1 else 0,
    )


def _read_pool(fields: TextFields) -> Words:
    fields.ignore("engine")
    fields.fixed("global_pooling", False)
    return Words(
        kind=_POOLS[fields.choice("pool", "MAX", tuple(_POOLS))],
        rank=2,
        kernel_size=_per_axis(fields, "kernel", "kernel_size", None),
        stride=_per_axis(fields, "stride", "stride", 1),
        padding=_pairs(_per_axis(fields, "pad", "pad", 0)),
        ceil_mode=fields.choice("round_mode", "CEIL", ("CEIL", "FLOOR")) == "CEIL",
    )


def _per_axis(fields: TextFields, stem: str, name: str, default: int | None) -> Ints:
    """`kernel_h` and `kernel_w`, or `kernel_size`."""
    low = 0 if default == 0 else 1
    if fields.has(f"{stem}_h") or fields.has(f"{stem}_w"):
        if fields.has(name):
            raise InvalidLayerError(f"give {name}, or {stem}_h and {stem}_w", field=name)
        return (
            fields.integer(f"{stem}_h", default, low),
            fields.integer(f"{stem}_w", default, low),
        )
    return fields.ints(name, None if default is None else (default,), low)


def _pairs(values: Ints) -> Pairs:
    return tuple((value, value) for value in values)


def write(words: Words) -> str:
    """The parameters of the same words; with the layer's type where they do not tell it."""
    if words.padding_mode != "zeros":
        raise InexpressibleError("only zeros can pad")
    if words.kind == "separable_conv":
        raise InexpressibleError("it takes two layers: one with group, then 1x1")
    if words.output_size is not None or any(words.output_padding or ()):
        raise InexpressibleError("Deconvolution has no output_padding and no output size")
    if words.kind in POOLS:
        return f"pooling_param {{ {_shown(_pool_fields(words))} }}"
    block = f"convolution_param {{ {_shown(_conv_fields(words))} }}"
    return f'layer {{ type: "Deconvolution" {block} }}' if words.kind == TRANSPOSED else block


def _conv_fields(words: Words) -> dict[str, Any]:
    return {
        "num_output": words.result_channels,
        "kernel_size": words.kernel_size,
        "stride": words.stride if set(words.stride) != {1} else (),
        "pad": _numbers(words),
        "dilation": words.dilation if set(words.dilation) != {1} else (),
        "group": words.group_count if words.group_count != 1 else (),
        "bias_term": () if words.bias else "false",
    }


def _pool_fields(words: Words) -> dict[str, Any]:
    if words.rank != 2:
        raise InexpressibleError("Pooling has two spatial axes")
    if set(words.dilation) != {1}:
        raise InexpressibleError("Pooling has no dilation")
    if words.kind == "avg_pool" and any(_numbers(words)) and not words.count_include_pad:
        raise InexpressibleError("the mean counts padding")
    fields: dict[str, Any] = {"pool": "MAX" if words.kind == "max_pool" else "AVE"}
    fields |= _two("kernel", "kernel_size", words.kernel_size, 0)
    fields |= _two("stride", "stride", words.stride, 1) | _two("pad", "pad", _numbers(words), 0)
    return fields if words.ceil_mode else fields | {"round_mode": "FLOOR"}


def _two(stem: str, name: str, values: Ints, default: int) -> dict[str, Any]:
    """One number for both axes, or two with names of their own; nothing for the default."""
    height, width = values
    if height != width:
        return {f"{stem}_h": height, f"{stem}_w": width}
    return {name: height} if height != default else {}


def _numbers(words: Words) -> Ints:
    if words.padding == "valid":
        return (0,) * words.rank
    if isinstance(words.padding, str) or words.both:
        raise InexpressibleError(f"pad is a number, not {words.padding!r}")
    if any(low != high or low < 0 for low, high in words.padding):
        raise InexpressibleError(
            f"pad is one number per axis for both sides, not the pairs {words.padding}"
        )
    return tuple(low for low, _ in words.padding)


def _shown(fields: dict[str, Any]) -> str:
    parts = []
    for name, value in fields.items():
        values = value if isinstance(value, tuple) else (value,)
        if len(set(values)) == 1:
            values = values[:1]
        if name != "pad" or set(values) != {0}:
            parts += [f"{name}: {each}" for each in values]
    return " ".join(parts)


def _conv(axis: Axis) -> Placement:
    placement = truncated(axis, *axis.pair)
    if placement.size is not None and placement.size < 1:
        raise RefusedError("the output would have a negative or empty size")
    return placement


def _transposed(axis: Axis) -> Placement:
    low, high = axis.pair
    return Placement(axis.natural - low - high, low)


def _pool(axis: Axis) -> Placement:
    low, high = axis.pair
    if low >= axis.kernel_size:
        raise RefusedError("Check failed: pad_h_ < kernel_h_")
    if not axis.ceil_mode:
        return truncated(axis, low, high)
    if low:
        return slide_up(axis, low, high)
    room = axis.length - axis.span
    return Placement(-(-room // axis.stride) + 1)  # without padding nothing is dropped


CAFFE = Dialect(
    name="caffe",
    title="Caffe",
    reads=_reads,
    read=read,
    write=write,
    runtimes=(
        Runtime(
            name="caffe",
            version="9b891540, by its source",
            counts_padding=True,
            rules=dict.fromkeys(CONVS, _conv)
            | {TRANSPOSED: _transposed}
            | dict.fromkeys(POOLS, _pool),
        ),
    ),
    weights={
        **dict.fromkeys(CONVS, "(K, C/group, *kernel), as here"),
        TRANSPOSED: "(C, K/group, *kernel), as here",
    },
)
