"""Darknet: `[convolutional] filters=64 size=7 stride=2 pad=1`.

Rules: pjreddie/darknet at f6afaabc and AlexeyAB's fork at 59596d78 (convolutional_layer.c,
maxpool_layer.c, parser.c). `pad=1` is size // 2; a pool's padding is that of both sides together.
Only the fork knows `dilation`, and multiplies the padding by it.
"""

from __future__ import annotations

import re

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import Ints
from convserve.tensors import Shape

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
    truncated,
)
from convserve_server.planning.dialects.text import TextFields, check_length, reading
from convserve_server.planning.dialects.words import CONVS, NO_PADDING, TRANSPOSED, Axis, Words
from convserve_server.planning.importers.darknet.text import read_sections

_SECTIONS = {"convolutional": "conv", "deconvolutional": TRANSPOSED, "maxpool": "max_pool"}


def _reads(text: str) -> bool:
    return text.lstrip().startswith("[")


def read(text: str) -> Words:
    """A section of a cfg, its options in lines or in one."""
    lines = "\n".join(re.sub(r"\s*=\s*", "=", check_length(text).replace("]", "] ")).split())
    with reading():
        sections = read_sections(lines.encode())
    if len(sections) != 1:
        raise InvalidLayerError(
            "it is no section such as [convolutional] filters=64 size=3", field="text"
        )
    kind = _SECTIONS.get(sections[0].name)
    if kind is None:
        known = "], [".join(_SECTIONS)
        raise InvalidLayerError(f"[{sections[0].name[:40]}] is none of [{known}]")
    fields = TextFields(f"[{sections[0].name}]", sections[0].values)
    words = _read_pool(fields) if kind == "max_pool" else _read_conv(kind, fields)
    fields.finish()
    return words


def _read_conv(kind: str, fields: TextFields) -> Words:
    fields.ignore("activation", "batch_normalize")
    size = fields.integer("size", 1)
    padding = fields.integer("padding", 0, low=0)
    if fields.flag("pad", False):
        padding = size // 2
    stride = fields.integer("stride", 1)
    return Words(
        kind=kind,
        rank=2,
        out_channels=fields.integer("filters", 1),
        kernel_size=(size,),
        stride=(fields.integer("stride_y", stride), fields.integer("stride_x", stride)),
        padding=((padding, padding),),
        dilation=(fields.integer("dilation", 1),),
        groups=fields.integer("groups", 1),
    )


def _read_pool(fields: TextFields) -> Words:
    stride = fields.integer("stride", 1)
    size = fields.integer("size", stride)
    total = fields.integer("padding", size - 1, low=0)
    return Words(
        kind="max_pool",
        rank=2,
        kernel_size=(size,),
        stride=(stride,),
        padding=((total // 2, total - total // 2),),
    )


def meaning(words: Words, _: Ints | None) -> Words:
    """The padding that is computed with."""
    assert not isinstance(words.padding, str)  # a section has no mode
    [(low, high)], [dilation] = words.padding, words.dilation
    return evolve(words, padding=((low * dilation, high * dilation),))


def _exact(words: Words) -> str:
    """With the padding before it is multiplied, for the one padding that the fork's size fits."""
    low, high = _pair(words)
    size, dilation = _square(words.kernel_size, "size"), _square(words.dilation, "dilation")
    if (low, high) != (size // 2 * dilation,) * 2 or size % 2 == 0:
        raise InexpressibleError("with a dilation, only the padding that keeps the size fits")
    return write(evolve(words, padding=((size // 2, size // 2),) * words.rank))


def write(words: Words) -> str:
    """The section of the same words."""
    kind = "conv" if words.kind in CONVS[:2] else words.kind
    if kind not in _SECTIONS.values():
        raise InexpressibleError(f"there is no section for {words.kind}")
    if words.rank != 2 or words.padding_mode != "zeros":
        raise InexpressibleError("there are two spatial axes, padded by zeros")
    if words.ceil_mode or words.output_size is not None or any(words.output_padding or ()):
        raise InexpressibleError("there is no ceil_mode, output_padding or output size")
    fields = _pool_fields(words) if kind == "max_pool" else _conv_fields(words)
    name = next(key for key, value in _SECTIONS.items() if value == kind)
    return f"[{name}] " + " ".join(f"{key}={value}" for key, value in fields.items())


def _conv_fields(words: Words) -> dict[str, int]:
    if not words.bias:
        raise InexpressibleError("there is always a bias, or a batch norm")
    size = _square(words.kernel_size, "size")
    low, high = _pair(words)
    if low != high:
        raise InexpressibleError(f"padding is one number for both sides, not {(low, high)}")
    fields = {"filters": words.result_channels, "size": size} | _strides(words.stride)
    if low:
        fields |= {"pad": 1} if low == size // 2 else {"padding": low}
    more = {"groups": words.group_count, "dilation": _square(words.dilation, "dilation")}
    return fields | {name: value for name, value in more.items() if value != 1}


def _strides(stride: Ints) -> dict[str, int]:
    if len(set(stride)) == 1:
        return {"stride": stride[0]}
    return {"stride_y": stride[0], "stride_x": stride[1]}


def _pool_fields(words: Words) -> dict[str, int]:
    if set(words.dilation) != {1}:
        raise InexpressibleError("[maxpool] has no dilation")
    low, high = _pair(words)
    if high - low not in (0, 1):
        raise InexpressibleError(
            f"padding is one total, of which half comes first: not {(low, high)}"
        )
    size = _square(words.kernel_size, "size")
    stride = _square(words.stride, "stride")
    fields = {"size": size, "stride": stride}
    return fields if low + high == size - 1 else fields | {"padding": low + high}


def _pair(words: Words) -> tuple[int, int]:
    padding = NO_PADDING if words.padding == "valid" else words.padding
    if isinstance(padding, str) or words.both:
        raise InexpressibleError(f"padding is a number, not {words.padding!r}")
    if len(set(padding)) != 1 or min(padding[0]) < 0:
        raise InexpressibleError(f"padding is the same for both axes, not {padding}")
    return padding[0]


def _square(values: Ints, name: str) -> int:
    if len(set(values)) != 1:
        raise InexpressibleError(f"{name} is the same for both axes, not {values}")
    return values[0]


def _check_original(words: Words, _: Shape) -> None:
    if max(words.dilation) > 1 or len(set(words.stride)) > 1:
        raise RefusedError("it knows no dilation, and one stride for both axes")


def _conv(axis: Axis) -> Placement:
    return _positive(truncated(axis, *axis.pair))


def _conv_of_fork(axis: Axis) -> Placement:
    """The fork's size forgets the dilation; what it computes does not."""
    low, high = axis.pair
    if axis.dilation == 1:
        return _conv(axis)
    size = (axis.length + low + high - axis.kernel_size) // axis.stride + 1
    return _positive(Placement(size, low * axis.dilation))


def _transposed(axis: Axis) -> Placement:
    low, high = axis.pair
    return _positive(Placement(axis.natural - low - high, low))


def _pool(axis: Axis) -> Placement:
    return _positive(truncated(axis, *axis.pair))


def _positive(placement: Placement) -> Placement:
    if placement.size is not None and placement.size < 1:
        raise RefusedError("the output would be empty")
    return placement


_RULES = {"depthwise_conv": _conv, TRANSPOSED: _transposed, "max_pool": _pool}

DARKNET = Dialect(
    name="darknet",
    title="Darknet",
    reads=_reads,
    read=read,
    write=write,
    meaning=meaning,
    exact=_exact,
    runtimes=(
        Runtime(
            name="darknet",
            version="pjreddie f6afaabc, by its source",
            check=_check_original,
            rules=_RULES | {"conv": _conv},
        ),
        Runtime(
            name="darknet_alexeyab",
            version="59596d78, by its source",
            rules=_RULES | {"conv": _conv_of_fork, "depthwise_conv": _conv_of_fork},
        ),
    ),
    weights={"conv": "(K, C/groups, *kernel), as here; the bias comes first in a .weights file"},
)
