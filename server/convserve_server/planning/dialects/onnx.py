"""ONNX: `Conv(kernel_shape=[7,7], strides=[2,2], pads=[3,3,3,3])`.

Attributes as in a node, and `W=[...]`, the shape of the weight, which has the channels.
"""

from __future__ import annotations

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import Ints

from convserve_server.planning.dialects.dialect import Dialect, InexpressibleError
from convserve_server.planning.dialects.onnx_runtimes import RUNTIMES
from convserve_server.planning.dialects.text import TextFields, begin_end, parse_call, written
from convserve_server.planning.dialects.words import (
    CONVS,
    NO_PADDING,
    POOLS,
    SAME,
    TRANSPOSED,
    Words,
)
from convserve_server.planning.importers.onnx.operators.convolution import cut_transposed

_OPERATORS = {
    "Conv": "conv",
    "ConvTranspose": TRANSPOSED,
    "MaxPool": "max_pool",
    "AveragePool": "avg_pool",
}
_MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def _reads(text: str) -> bool:
    name, _, rest = text.partition("(")
    return name.strip() in _OPERATORS and ("kernel_shape" in rest or "W=" in rest)


def read(text: str) -> Words:
    """A node: its operator and attributes."""
    call = parse_call(text)
    kind = _OPERATORS.get(call.name)
    if kind is None:
        raise InvalidLayerError(f"{call.name!r} is none of {', '.join(_OPERATORS)}")
    fields = TextFields(call.name, call.keywords)
    weight = fields.ints("W", (0,), 0)
    words = _read_node(kind, fields, weight)
    fields.finish()
    return words


def _read_node(kind: str, fields: TextFields, weight: Ints) -> Words:
    default = weight[2:] if len(weight) > 2 else None
    kernel_size = fields.ints("kernel_shape", default)
    auto_pad = fields.choice("auto_pad", "NOTSET", _MODES)
    pads = begin_end(fields.ints("pads", low=-(2**31))) if fields.has("pads") else ()
    group = fields.integer("group", 1) if kind not in POOLS else 1
    channels = _channels(kind, weight, group)
    return Words(
        kind=kind,
        rank=len(kernel_size),
        kernel_size=kernel_size,
        stride=fields.ints("strides", (1,)),
        dilation=fields.ints("dilations", (1,)),
        padding=(pads or NO_PADDING) if auto_pad == "NOTSET" else auto_pad.lower(),
        both=pads if auto_pad != "NOTSET" else (),
        output_padding=fields.optional_ints("output_padding", 0) if kind == TRANSPOSED else None,
        output_size=fields.optional_ints("output_shape") if kind == TRANSPOSED else None,
        in_channels=channels[0],
        out_channels=channels[1],
        groups=group,
        bias=fields.flag("B", True) if kind not in POOLS else True,
        ceil_mode=fields.flag("ceil_mode", False) if kind in POOLS else False,
        count_include_pad=fields.flag("count_include_pad", False),
    )


def _channels(kind: str, weight: Ints, group: int) -> tuple[int, int]:
    """(in, out), 0 where the weight's shape is not told."""
    if len(weight) < 3 or kind in POOLS:
        return 0, 0
    first, second = weight[:2]
    return (second * group, first) if kind == "conv" else (first, second * group)


def write(words: Words) -> str:
    """The node of the same words."""
    if words.padding_mode != "zeros":
        raise InexpressibleError("only zeros can pad; an operator Pad before it can do more")
    if words.kind == "separable_conv":
        raise InexpressibleError("it takes two nodes: Conv with group=C, then Conv 1x1")
    if words.padding in ("causal", "full"):
        raise InexpressibleError(f"there is no auto_pad for {words.padding!r}, only numbers")
    kind = "conv" if words.kind == "depthwise_conv" else words.kind
    name = next(key for key, value in _OPERATORS.items() if value == kind)
    is_pool = words.kind in POOLS
    return written(
        name,
        W=None if is_pool else _weight(words),
        kernel_shape=_list(words.kernel_size),
        strides=_list(words.stride, 1),
        dilations=_list(words.dilation, 1),
        **_write_padding(words),
        group=None if words.group_count == 1 else words.group_count,
        output_padding=_list(words.output_padding or (0,), 0),
        output_shape=None if words.output_size is None else _list(words.output_size),
        B=0 if not words.bias and not is_pool else None,
        ceil_mode=1 if words.ceil_mode else None,
        count_include_pad=1 if words.kind == "avg_pool" and words.count_include_pad else None,
    )


def _weight(words: Words) -> str | None:
    if not (words.in_channels and words.result_channels):
        return None
    counts = [words.result_channels, words.in_channels // words.group_count]
    if words.kind == TRANSPOSED:
        counts = [words.in_channels, words.result_channels // words.group_count]
    return str([*counts, *words.kernel_size])


def _write_padding(words: Words) -> dict[str, str | None]:
    if isinstance(words.padding, str):
        mode = "SAME_UPPER" if words.padding == "same" else words.padding.upper()
        return {"auto_pad": repr(mode), "pads": _pads(words.both) if words.both else None}
    return {"pads": None if words.padding == NO_PADDING * words.rank else _pads(words.padding)}


def _pads(pairs: tuple[tuple[int, int], ...]) -> str:
    return str([low for low, _ in pairs] + [high for _, high in pairs])


def _list(values: Ints, default: int | None = None) -> str | None:
    return None if set(values) == {default} else str([*values])


def meaning(words: Words, lengths: Ints | None) -> Words:
    """Numbers for a transposed layer whose size is told, by the formula of the standard."""
    if words.kind != TRANSPOSED or words.both:
        return words
    spread = words.spread(words.rank)
    sizes: tuple[tuple[int, int], ...] = ()
    if spread.output_size is not None and lengths is not None:
        sizes = tuple(zip(lengths, spread.output_size, strict=True))
    elif words.padding not in SAME or not words.output_padding:
        return words  # our modes are the standard's
    padding, extra = cut_transposed(
        spread.kernel_size,
        spread.stride,
        spread.dilation,
        spread.output_padding or (0,) * words.rank,
        sizes,
        more_low=words.padding != "same_upper",
    )
    return evolve(spread, padding=padding, output_padding=extra, output_size=None)


ONNX = Dialect(
    name="onnx",
    title="ONNX",
    reads=_reads,
    read=read,
    write=write,
    runtimes=RUNTIMES,
    meaning=meaning,
    weights={
        **dict.fromkeys(CONVS, "(K, C/group, *kernel), as here"),
        TRANSPOSED: "(C, K/group, *kernel), as here",
    },
)
