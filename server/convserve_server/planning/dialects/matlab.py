"""MATLAB: `convolution2dLayer(7,64,Stride=2,Padding="same")`, and `conv(u,v,"same")`.

Rules: the documentation of the Deep Learning Toolbox's layers (a `same` padding that is odd has
more at the bottom and right), and of conv. Nothing of it was run.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import Pairs

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
    cut,
    same,
    slide,
)
from convserve_server.planning.dialects.text import (
    Symbol,
    TextFields,
    check_length,
    choice_of,
    ints_of,
    parse_call,
    shown,
    written,
)
from convserve_server.planning.dialects.words import (
    CONVS,
    NO_PADDING,
    POOLS,
    SAME,
    TRANSPOSED,
    Axis,
    Words,
)

# the name with its axes left out -> (kind, names of its positional arguments)
_LAYERS = {
    "convolution#Layer": ("conv", ("FilterSize", "NumFilters")),
    "groupedConvolution#Layer": ("conv", ("FilterSize", "NumFiltersPerGroup", "NumGroups")),
    "transposedConv#Layer": (TRANSPOSED, ("FilterSize", "NumFilters")),
    "maxPooling#Layer": ("max_pool", ("PoolSize",)),
    "averagePooling#Layer": ("avg_pool", ("PoolSize",)),
}
_HARMLESS = ("Name", "NumChannels", "WeightsInitializer", "BiasInitializer", "PaddingValue")


def _split_name(name: str) -> tuple[str, int] | None:
    """`convolution2dLayer` to its entry and its number of axes."""
    found = re.fullmatch(r"(\D+)([123])dLayer", name)
    entry = f"{found[1]}#Layer" if found else ""
    return (entry, int(found[2])) if found and entry in _LAYERS else None


def _reads(text: str) -> bool:
    return _split_name(text.partition("(")[0].strip()) is not None


def read(text: str) -> Words:
    """A layer's construction; names before their values are taken in both of MATLAB's forms."""
    call = parse_call(_pythonic(check_length(text)))
    found = _split_name(call.name)
    if found is None:
        names = ", ".join(name.replace("#", "2d") for name in _LAYERS)
        raise InvalidLayerError(f"{call.name!r} is none of {names}")
    entry, rank = found
    kind, positions = _LAYERS[entry]
    own, pairs = call.arguments[: len(positions)], call.arguments[len(positions) :]
    named = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=False))
    if len(pairs) % 2:
        raise InvalidLayerError("a name has no value after it", field=str(pairs[-1])[:60])
    call = evolve(call, arguments=own, keywords=named | call.keywords)
    fields = TextFields.of(call, positions)
    fields.ignore(*_HARMLESS)
    words = _read_pool(kind, rank, fields) if kind in POOLS else _read_conv(kind, rank, fields)
    fields.finish()
    return words


def _pythonic(text: str) -> str:
    """`[2 2]` as `[2,2]`: numbers in brackets may stand side by side."""
    return re.sub(
        r"\[([^\]]*)\]", lambda found: f"[{','.join(found[1].replace(',', ' ').split())}]", text
    )


def _read_conv(kind: str, rank: int, fields: TextFields) -> Words:
    words = Words(
        kind=kind,
        rank=rank,
        kernel_size=fields.ints("FilterSize"),
        stride=fields.ints("Stride", (1,)),
        dilation=fields.ints("DilationFactor", (1,)) if kind == "conv" else (1,),
        padding=_read_padding("Cropping" if kind == TRANSPOSED else "Padding", rank, fields),
        bias=fields.take("BiasLearnRateFactor", 1) != 0,
    )
    if not fields.has("NumFiltersPerGroup"):
        return evolve(words, out_channels=fields.integer("NumFilters"))
    each = fields.integer("NumFiltersPerGroup")
    if fields.skip("NumGroups", "channel-wise"):
        return evolve(words, kind="depthwise_conv", depth_multiplier=each)
    count = fields.integer("NumGroups")
    return evolve(words, out_channels=each * count, groups=count)


def _read_pool(kind: str, rank: int, fields: TextFields) -> Words:
    return Words(
        kind=kind,
        rank=rank,
        kernel_size=fields.ints("PoolSize"),
        stride=fields.ints("Stride", (1,)),
        padding=_read_padding("Padding", rank, fields),
    )


def _read_padding(name: str, rank: int, fields: TextFields) -> str | Pairs:
    value: Any = fields.take(name, 0)
    if isinstance(value, str | Symbol):
        modes = ("same", "causal") if rank == 1 and name == "Padding" else ("same",)
        return choice_of("the layer", name, value, modes)
    numbers = ints_of("the layer", name, value, low=0)
    if len(numbers) == 2 * rank:  # rows are axes in [t b l r], but first and last in 3-D
        if rank == 3:
            return tuple(zip(numbers[:3], numbers[3:], strict=True))
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return tuple((number, number) for number in numbers)


def write(words: Words) -> str:
    """The layer of the same words."""
    if words.kind == "separable_conv":
        raise InexpressibleError("it takes two layers: a channel-wise one, then 1-by-1")
    if words.padding_mode != "zeros" or words.ceil_mode:
        raise InexpressibleError("only zeros can pad here, and no pool rounds up")
    if words.output_size is not None or any(words.output_padding or ()):
        raise InexpressibleError("transposedConvLayer has no output padding and no output size")
    entry, arguments = _entry(words)
    options = {"Stride": words.stride, "DilationFactor": words.dilation}
    if set(words.dilation) != {1} and words.kind not in CONVS:
        raise InexpressibleError(f"{entry.replace('#', '')} has no DilationFactor")
    shown_options = {k: _vector(v) for k, v in options.items() if set(v) != {1}}
    padding = _write_padding(words)
    if padding:
        shown_options["Cropping" if words.kind == TRANSPOSED else "Padding"] = padding
    if not words.bias and words.kind not in POOLS:
        shown_options["BiasLearnRateFactor"] = "0"  # it stays at the zeros that it begins with
    return written(entry.replace("#", f"{words.rank}d"), *arguments, **shown_options)


def _entry(words: Words) -> tuple[str, list[object]]:
    size = _vector(words.kernel_size)
    if words.kind == "depthwise_conv":
        return "groupedConvolution#Layer", [size, words.depth_multiplier, '"channel-wise"']
    if words.kind == "conv" and words.groups > 1:
        each = words.out_channels // words.groups
        return "groupedConvolution#Layer", [size, each, words.groups]
    entry = next(key for key, (kind, _) in _LAYERS.items() if kind == words.kind)
    if words.kind == TRANSPOSED and words.groups > 1:
        raise InexpressibleError("transposedConvLayer has no groups")
    return entry, [size] if words.kind in POOLS else [size, words.out_channels]


def _vector(values: tuple[int, ...]) -> str:
    return shown(values[:1]) if len(set(values)) == 1 else f"[{' '.join(map(str, values))}]"


def _write_padding(words: Words) -> str | None:
    padding = words.padding
    if words.both:
        raise InexpressibleError("padding is a mode or numbers, not both")
    if isinstance(padding, str):
        if padding in ("same", "same_upper"):
            return '"same"'
        if padding == "causal" and words.kind in CONVS:
            return '"causal"'
        if padding == "valid":
            return None
        raise InexpressibleError(f'there is no padding {padding!r}, only "same" and numbers')
    if any(number < 0 for pair in padding for number in pair):
        raise InexpressibleError("negative padding is not supported")
    if padding == NO_PADDING * words.rank:
        return None
    if all(low == high for low, high in padding):
        return _vector(tuple(low for low, _ in padding))
    numbers = [n for pair in padding for n in pair]
    if words.rank == 3:
        numbers = [low for low, _ in padding] + [high for _, high in padding]
    return f"[{' '.join(map(str, numbers))}]"


def _windows(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return slide(axis, *same(axis, more_low=False))
    low, high = (axis.span - 1, 0) if axis.padding == "causal" else axis.pair
    if axis.length + low + high < axis.span:
        raise RefusedError("the filter is larger than the padded input")
    return slide(axis, low, high)


def _transposed(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return cut(axis, axis.length * axis.stride, more_low=False)
    low, high = axis.pair
    return Placement(axis.natural - low - high, low)


MATLAB = Dialect(
    name="matlab",
    title="MATLAB",
    reads=_reads,
    read=read,
    write=write,
    runtimes=(
        Runtime(
            name="matlab",
            version="documentation, not run",
            counts_padding=True,
            rules=dict.fromkeys((*CONVS, *POOLS), _windows) | {TRANSPOSED: _transposed},
        ),
    ),
    weights={
        "conv": "(*kernel, C, K): np.moveaxis(weight, (0, 1), (-1, -2))",
        TRANSPOSED: "(*kernel, K, C): np.moveaxis(weight, (0, 1), (-1, -2))",
    },
)
