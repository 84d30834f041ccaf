"""Keras: `Conv2D(64, 7, strides=2, padding="same")`.

Rules and messages: keras 3.15 (ops/operation_utils.py, backend/common/backend_utils.py,
layers/convolutional/base_conv.py). A text says nothing of the input's channels.
"""

from __future__ import annotations

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
    in_numbers,
    same,
    slide,
    truncated,
)
from convserve_server.planning.dialects.text import TextFields, parse_call, shown, unless, written
from convserve_server.planning.dialects.words import (
    CONVS,
    NO_PADDING,
    POOLS,
    SAME,
    TRANSPOSED,
    Axis,
    Words,
)
from convserve_server.planning.importers.keras.convolution import transposed_crop

# the class without its rank -> (kind, names of its positional arguments)
_CONV = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups")
_CLASSES = {
    "Conv": ("conv", _CONV),
    "DepthwiseConv": ("depthwise_conv", ("kernel_size", "strides", "padding", "depth_multiplier")),
    "SeparableConv": ("separable_conv", ("filters", "kernel_size", "strides", "padding")),
    "MaxPooling": ("max_pool", ("pool_size", "strides", "padding")),
    "AveragePooling": ("avg_pool", ("pool_size", "strides", "padding")),
}
_TRANSPOSE = ("filters", "kernel_size", "strides", "padding")
_HARMLESS = (
    *("activation", "name", "input_shape", "data_format"),
    *(
        f"{role}_{what}"
        for role in ("kernel", "bias", "depthwise", "pointwise", "activity")
        for what in ("initializer", "regularizer", "constraint")
    ),
)


def _split_name(name: str) -> tuple[str, int, tuple[str, ...]] | None:
    """`Conv2DTranspose` to its kind, its number of axes and its arguments."""
    stem, transposed = name.removesuffix("Transpose"), name.endswith("Transpose")
    if stem[-2:] not in ("1D", "2D", "3D") or stem[:-2] not in _CLASSES:
        return None
    kind, positions = _CLASSES[stem[:-2]]
    if not transposed:
        return kind, int(stem[-2]), positions
    return (TRANSPOSED, int(stem[-2]), _TRANSPOSE) if kind == "conv" else None


def _reads(text: str) -> bool:
    return _split_name(text.partition("(")[0].rpartition(".")[2].strip()) is not None


def read(text: str) -> Words:
    """A layer's construction."""
    call = parse_call(text)
    found = _split_name(call.short_name)
    if found is None:
        known = ", ".join(f"{each}2D" for each in _CLASSES)
        raise InvalidLayerError(
            f"{call.name!r} is none of {known} or Conv2DTranspose, of 1D to 3D", field="text"
        )
    kind, rank, positions = found
    fields = TextFields.of(call, positions)
    fields.ignore(*_HARMLESS)
    words = _read_pool(kind, rank, fields) if kind in POOLS else _read_conv(kind, rank, fields)
    fields.finish()
    return words


def _read_conv(kind: str, rank: int, fields: TextFields) -> Words:
    modes = ("valid", "same", "causal") if rank == 1 and kind != TRANSPOSED else ("valid", "same")
    is_wide = kind in ("depthwise_conv", "separable_conv")
    return Words(
        kind=kind,
        rank=rank,
        out_channels=0 if kind == "depthwise_conv" else fields.integer("filters"),
        kernel_size=fields.ints("kernel_size"),
        stride=fields.ints("strides", (1,)),
        padding=fields.choice("padding", "valid", modes),
        output_padding=fields.optional_ints("output_padding", 0) if kind == TRANSPOSED else None,
        dilation=fields.ints("dilation_rate", (1,)),
        groups=fields.integer("groups", 1) if kind == "conv" else 1,
        depth_multiplier=fields.integer("depth_multiplier", 1) if is_wide else 1,
        bias=fields.flag("use_bias", True),
    )


def _read_pool(kind: str, rank: int, fields: TextFields) -> Words:
    pool_size = fields.ints("pool_size", (2,))
    return Words(
        kind=kind,
        rank=rank,
        kernel_size=pool_size,
        stride=fields.optional_ints("strides") or pool_size,
        padding=fields.choice("padding", "valid", ("valid", "same")),
        count_include_pad=False,
    )


def meaning(words: Words, _: Ints | None) -> Words:
    """Numbers for a transposed layer; a convolution's modes are ours."""
    if words.kind != TRANSPOSED:
        return words
    return in_numbers(words, _cropped)


def write(words: Words) -> str:
    """The layer of the same words."""
    _check_numbers(words)
    if words.kind in POOLS:
        return _write_pool(words)
    stem = next(name for name, (kind, _) in _CLASSES.items() if kind == _plain(words.kind))
    name = f"{stem}{words.rank}D{'Transpose' if words.kind == TRANSPOSED else ''}"
    if words.rank == 3 and words.kind in ("depthwise_conv", "separable_conv"):
        raise InexpressibleError(f"there is no {name}")
    if words.kind == TRANSPOSED and words.groups != 1:
        raise InexpressibleError(f"{name} has no groups")
    first = [] if words.kind == "depthwise_conv" else [words.out_channels]
    return written(
        name,
        *first,
        shown(words.kernel_size),
        strides=unless(words.stride, 1),
        padding=_write_mode(words),
        output_padding=_write_extra(words),
        dilation_rate=unless(words.dilation, 1),
        groups=unless((words.groups,), 1),
        depth_multiplier=unless((words.depth_multiplier,), 1),
        use_bias=None if words.bias else False,
    )


def _plain(kind: str) -> str:
    return "conv" if kind == TRANSPOSED else kind


def _check_numbers(words: Words) -> None:
    if words.padding_mode != "zeros":
        raise InexpressibleError(f"there is no padding with {words.padding_mode!r}, only zeros")
    if words.output_size is not None:
        raise InexpressibleError("a wanted output size cannot be told")


def _write_pool(words: Words) -> str:
    if words.ceil_mode:
        raise InexpressibleError("a pool cannot round up")
    if set(words.dilation) != {1}:
        raise InexpressibleError("a pool has no dilation")
    stem = "MaxPooling" if words.kind == "max_pool" else "AveragePooling"
    return written(
        f"{stem}{words.rank}D",
        shown(words.kernel_size),
        strides=None if words.stride == words.kernel_size else shown(words.stride),
        padding=_write_mode(words),
    )


def _write_mode(words: Words) -> str | None:
    padding = words.padding
    if padding in ("same", "same_upper"):
        return "'same'"
    if padding == "causal" and words.kind in CONVS and words.rank == 1:
        return "'causal'"
    if padding == "valid" or (padding == NO_PADDING * words.rank and not words.both):
        return None
    raise InexpressibleError(
        f"padding is 'valid' or 'same'{' or causal' if words.rank == 1 else ''}, not {padding}"
    )


def _write_extra(words: Words) -> str | None:
    if words.output_padding is None:
        return None
    # shown also where it is 0: to Keras that is another thing than not given
    return shown(words.output_padding)


def _exact(words: Words) -> str:
    """Zeros first, for windows; a transposed layer keeps what it made and crops it."""
    if isinstance(words.padding, str):
        raise InexpressibleError("no layer before it can pad as it does")
    bare = evolve(words, padding=NO_PADDING * words.rank, output_padding=None, output_size=None)
    pairs = ", ".join(map(str, words.padding))
    pairs = f"({pairs})" if words.rank > 1 else pairs
    if words.kind in CONVS:
        return f"[ZeroPadding{words.rank}D({pairs}), {write(bare)}]"
    if words.kind == TRANSPOSED:
        extra = words.output_padding or (0,) * words.rank
        layer = write(evolve(bare, output_padding=extra))
        return f"[{layer}, Cropping{words.rank}D({pairs})]"
    raise InexpressibleError("zeros are no minus infinity, and would count in the mean")


def _check(words: Words, shape: Shape) -> None:
    if words.kind == "avg_pool" and words.rank == 3:
        _check_mean(words, shape)
    if words.kind == "depthwise_conv" and words.padding == "causal":
        raise RefusedError(
            "The `padding` argument must be a list/tuple or one of {'same', 'valid'}. Received: "
            "causal"
        )
    if words.kind != "depthwise_conv" and max(words.stride) > 1 and max(words.dilation) > 1:
        raise RefusedError(
            "`strides > 1` not supported in conjunction with `dilation_rate > 1`. Received: "
            f"strides={words.stride} and dilation_rate={words.dilation}"
        )


def _check_mean(words: Words, shape: Shape) -> None:
    """On torch, whose AvgPool3d looks at no padding of its own; uneven padding comes before it."""
    axes = [words.axis(index, size) for index, size in enumerate(shape[1:])]
    pairs = [same(axis, more_low=False) if axis.padding in SAME else (0, 0) for axis in axes]
    is_even = all(low == high for low, high in pairs)
    if is_even and any(axis.length < axis.kernel_size for axis in axes):
        raise RefusedError(f"input image {shape[1:]} smaller than kernel size {words.kernel_size}")


def _windows(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return slide(axis, *same(axis, more_low=False))
    if axis.padding == "causal":
        return slide(axis, axis.span - 1, 0)
    if axis.length < axis.span:
        raise RefusedError("Computed output size would be zero or negative")
    return slide(axis, 0, 0)


def _cropped(axis: Axis) -> Placement:
    mode = "same" if axis.padding in SAME else "valid"
    low, high = transposed_crop(mode, axis.span, axis.stride, axis.output_padding)
    return Placement(axis.natural - low - high, low)


def _transposed(axis: Axis) -> Placement:
    if axis.output_padding is not None and axis.output_padding >= axis.stride:
        raise RefusedError(
            "Each value in `output_padding` must be strictly less than the corresponding value in "
            f"`strides`. `output_padding` is {axis.output_padding} and `strides` {axis.stride}"
        )
    return _cropped(axis)


def _tensorflow(axis: Axis) -> Placement:
    """kernel_shape_util.cc: a size of 0 is legal, one below it is not."""
    if axis.padding in SAME:
        return slide(axis, *same(axis, more_low=False))
    placement = truncated(axis, *((axis.span - 1, 0) if axis.padding == "causal" else (0, 0)))
    if axis.length + axis.stride < axis.span:
        raise RefusedError("Computed output size would be negative")
    return placement if axis.length >= axis.span else Placement(0)


KERAS = Dialect(
    name="keras",
    title="Keras",
    reads=_reads,
    read=read,
    write=write,
    exact=_exact,
    meaning=meaning,
    runtimes=(
        Runtime(
            name="keras",
            version="3.15.1 on torch",
            check=_check,
            counts_padding=False,
            rules=dict.fromkeys((*CONVS, *POOLS), _windows) | {TRANSPOSED: _transposed},
        ),
        Runtime(
            name="tensorflow",
            version="kernel_shape_util.cc at 1142c5f5, not run",
            counts_padding=False,
            rules=dict.fromkeys((*CONVS, *POOLS), _tensorflow),
        ),
    ),
    weights={
        "conv": "(*kernel, C/groups, K): np.moveaxis(weight, (0, 1), (-1, -2))",
        "depthwise_conv": "(*kernel, C, m): weight.reshape(C, m, *kernel), moved likewise",
        TRANSPOSED: "(*kernel, K, C): np.moveaxis(weight, (0, 1), (-1, -2))",
    },
)
