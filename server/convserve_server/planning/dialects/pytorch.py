"""PyTorch: `nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3)`.

Rules and messages: torch 2.13 (nn/modules/conv.py, ATen/native/Pool.h, ConvUtils.h).
"""

from __future__ import annotations

from attrs import evolve
from convserve.errors import InvalidLayerError
from convserve.layers.fields import BORDER_MODES
from convserve.tensors import Shape

from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
    slide,
    slide_up,
)
from convserve_server.planning.dialects.text import (
    TextFields,
    choice_of,
    ints_of,
    parse_call,
    shown,
    unless,
    written,
)
from convserve_server.planning.dialects.words import CONVS, POOLS, SAME, TRANSPOSED, Axis, Words

_KINDS = {
    "Conv": "conv",
    "ConvTranspose": TRANSPOSED,
    "MaxPool": "max_pool",
    "AvgPool": "avg_pool",
}
_CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
_POSITIONS = {
    "conv": (*_CONV, "dilation", "groups", "bias", "padding_mode"),
    TRANSPOSED: (*_CONV, "output_padding", "groups", "bias", "dilation", "padding_mode"),
    "max_pool": ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
    "avg_pool": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
}


def _split_name(name: str) -> tuple[str, int] | None:
    """`Conv2d` to its kind and its number of axes."""
    kind = _KINDS.get(name[:-2])
    return (kind, int(name[-2])) if kind and name[-2:] in ("1d", "2d", "3d") else None


def _reads(text: str) -> bool:
    name = text.partition("(")[0].rpartition(".")[2].strip()
    return _split_name(name) is not None


def read(text: str) -> Words:
    """A module's construction."""
    call = parse_call(text)
    found = _split_name(call.short_name)
    if found is None:
        known = ", ".join(f"{each}1d to {each}3d" for each in _KINDS)
        raise InvalidLayerError(f"{call.name!r} is none of {known}")
    kind, rank = found
    fields = TextFields.of(call, _POSITIONS[kind])
    fields.ignore("device", "dtype")
    words = _read_pool(kind, rank, fields) if kind in POOLS else _read_conv(kind, rank, fields)
    fields.finish()
    return words


def _read_conv(kind: str, rank: int, fields: TextFields) -> Words:
    return Words(
        kind=kind,
        rank=rank,
        in_channels=fields.integer("in_channels"),
        out_channels=fields.integer("out_channels"),
        kernel_size=fields.ints("kernel_size"),
        stride=fields.ints("stride", (1,)),
        padding=_read_padding(kind, fields),
        output_padding=fields.ints("output_padding", (0,), 0) if kind == TRANSPOSED else None,
        dilation=fields.ints("dilation", (1,)),
        groups=fields.integer("groups", 1),
        bias=fields.flag("bias", True),
        padding_mode=fields.choice("padding_mode", "zeros", BORDER_MODES),
    )


def _read_pool(kind: str, rank: int, fields: TextFields) -> Words:
    kernel_size = fields.ints("kernel_size")
    fields.fixed("return_indices", False)
    fields.fixed("divisor_override", None)
    return Words(
        kind=kind,
        rank=rank,
        kernel_size=kernel_size,
        stride=fields.optional_ints("stride") or kernel_size,
        padding=_read_padding(kind, fields),
        dilation=fields.ints("dilation", (1,)) if kind == "max_pool" else (1,),
        ceil_mode=fields.flag("ceil_mode", False),
        count_include_pad=fields.flag("count_include_pad", True) if kind == "avg_pool" else True,
    )


def _read_padding(kind: str, fields: TextFields) -> str | tuple[tuple[int, int], ...]:
    value = fields.take("padding", 0)
    if isinstance(value, str) and kind == "conv":
        return choice_of("the layer", "padding", value, ("valid", "same"))
    numbers = ints_of("the layer", "padding", value, low=-(2**31))
    return tuple((number, number) for number in numbers)


def write(words: Words) -> str:
    """The module of the same words."""
    name = f"nn.{_class_of(words.kind)}{words.rank}d"
    if words.kind in POOLS:
        return _write_pool(name, words)
    if words.kind == "separable_conv":
        return _write_separable(words)
    line = written(
        name,
        words.in_channels,
        words.result_channels,
        shown(words.kernel_size),
        stride=unless(words.stride, 1),
        padding=_write_padding(words),
        output_padding=unless(words.output_padding or (0,), 0),
        dilation=unless(words.dilation, 1),
        groups=unless((words.group_count,), 1),
        bias=None if words.bias else False,
        padding_mode=None if words.padding_mode == "zeros" else repr(words.padding_mode),
    )
    return line if words.output_size is None else f"{line}(x, output_size={[*words.output_size]})"


def _class_of(kind: str) -> str:
    return {value: key for key, value in _KINDS.items()}.get(kind, "Conv")


def _write_pool(name: str, words: Words) -> str:
    if words.kind == "avg_pool" and set(words.dilation) != {1}:
        raise InexpressibleError("nn.AvgPool has no dilation")
    return written(
        name,
        shown(words.kernel_size),
        stride=None if words.stride == words.kernel_size else shown(words.stride),
        padding=_write_padding(words),
        dilation=unless(words.dilation, 1),
        ceil_mode=words.ceil_mode or None,
        count_include_pad=False if _leaves_out_padding(words) else None,
    )


def _leaves_out_padding(words: Words) -> bool:
    return words.kind == "avg_pool" and not words.count_include_pad


def _write_separable(words: Words) -> str:
    middle = words.in_channels * words.depth_multiplier
    depthwise = write(evolve(words, kind="depthwise_conv", bias=False))
    pointwise = written(
        f"nn.Conv{words.rank}d",
        middle,
        words.out_channels,
        1,
        bias=None if words.bias else False,
    )
    return written("nn.Sequential", depthwise, pointwise)


def _write_padding(words: Words) -> str | None:
    if words.both:
        raise InexpressibleError("padding is a mode or numbers, not both")
    if isinstance(words.padding, str):
        return _write_mode(words)
    if any(low != high for low, high in words.padding):
        raise InexpressibleError(
            f"padding is one number per axis for both sides, not the pairs {words.padding}"
        )
    return unless(tuple(low for low, _ in words.padding), 0)


def _write_mode(words: Words) -> str | None:
    if words.padding == "valid":
        return None
    if words.padding in ("same", "same_upper") and words.kind in CONVS:
        return "'same'"
    raise InexpressibleError(
        f"{_class_of(words.kind)} has no padding {words.padding!r}, only numbers"
        + (", 'valid' and 'same'" if words.kind in CONVS else "")
    )


def _exact(words: Words) -> str:
    """A padding layer before windows whose two sides differ; a cropping one after transposed."""
    if isinstance(words.padding, str):
        raise InexpressibleError("no layer before it can pad as it does")
    is_cut = words.kind == TRANSPOSED
    numbers = ", ".join(str(-n if is_cut else n) for pair in reversed(words.padding) for n in pair)
    pad = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication"}
    mode = pad.get(words.padding_mode, "Circular")
    other = f"nn.{mode}Pad{words.rank}d(({numbers}))"
    layer = write(evolve(words, padding=((0, 0),) * words.rank, padding_mode="zeros"))
    return written("nn.Sequential", *((layer, other) if is_cut else (other, layer)))


def _check(words: Words, shape: Shape) -> None:
    if 0 in shape[1:]:
        raise RefusedError("only zero batch or zero channel inputs are supported")
    if words.kind == "avg_pool" and words.rank == 3 and _is_smaller(shape, words):
        raise RefusedError(f"input image {shape[1:]} smaller than kernel size {words.kernel_size}")
    if words.kind == TRANSPOSED and words.padding_mode != "zeros":
        raise RefusedError('Only "zeros" padding mode is supported for ConvTranspose')


def _is_smaller(shape: Shape, words: Words) -> bool:
    """Whether an axis is below the kernel; AvgPool3d does not look at the padding."""
    return any(size < kernel for size, kernel in zip(shape[1:], words.kernel_size, strict=True))


def _conv(axis: Axis) -> Placement:
    if axis.padding in SAME:
        if axis.stride != 1:
            raise RefusedError("padding='same' is not supported for strided convolutions")
        low = (axis.span - 1) // 2
        return slide(axis, low, axis.span - 1 - low)
    low, high = axis.pair
    if low < 0:
        raise RefusedError("negative padding is not supported")
    padded = axis.length + low + high
    if padded < axis.span:
        raise RefusedError(
            f"Calculated padded input size per channel: ({padded}). Kernel size: ({axis.span}). "
            "Kernel size can't be greater than actual input size"
        )
    return slide(axis, low, high)


def _transposed(axis: Axis) -> Placement:
    low, high = axis.pair
    extra = axis.output_padding or 0
    least = axis.natural - low - high
    if axis.output_size is not None:
        extra = axis.output_size - least
        if not 0 <= extra < axis.stride:
            raise RefusedError(
                f"requested an output size of [{axis.output_size}], but valid sizes range from "
                f"[{least}] to [{least + axis.stride - 1}]"
            )
    if extra >= max(axis.stride, axis.dilation):
        raise RefusedError(
            "output padding must be smaller than either stride or dilation, but got "
            f"output_padding: {extra}, stride: {axis.stride}, dilation: {axis.dilation}"
        )
    if least + extra < 1:  # for 0 it depends on the kernel that PyTorch picks
        raise RefusedError(f"Calculated output size: ({least + extra}). Output size is too small")
    return Placement(least + extra, low)


def _pool(axis: Axis) -> Placement:
    low, high = axis.pair
    if low > axis.kernel_size // 2:
        raise RefusedError(
            f"pad should be at most half of effective kernel size, but got pad={low}, "
            f"kernel_size={axis.kernel_size} and dilation={axis.dilation}"
        )
    placement = (slide_up if axis.ceil_mode else slide)(axis, low, high)
    if placement.size is not None and placement.size < 1:
        raise RefusedError(f"Calculated output size: ({placement.size}). Output size is too small")
    return placement


PYTORCH = Dialect(
    name="pytorch",
    title="PyTorch",
    reads=_reads,
    read=read,
    write=write,
    exact=_exact,
    runtimes=(
        Runtime(
            name="torch",
            version="2.13.0",
            check=_check,
            rules=dict.fromkeys(CONVS, _conv)
            | {TRANSPOSED: _transposed}
            | dict.fromkeys(POOLS, _pool),
        ),
    ),
    weights={
        "conv": "(K, C/groups, *kernel), as here",
        "depthwise_conv": "(C*m, 1, *kernel), as here",
        TRANSPOSED: "(C, K/groups, *kernel), as here",
    },
)
