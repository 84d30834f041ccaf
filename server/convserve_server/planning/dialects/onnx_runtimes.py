"""Who runs ONNX, each by rules of its own.

Shape inference: onnx/defs/nn/defs.cc and its Python reference, onnx 1.23.2; ONNX Runtime 1.31.1 and
OpenVINO 2026.4.1 on the CPU, as they were measured.
"""

from __future__ import annotations

import math

from attrs import evolve
from convserve.tensors import Shape

from convserve_server.planning.dialects.dialect import (
    Placement,
    RefusedError,
    Runtime,
    cut,
    same,
    slide,
    slide_up,
    truncated,
)
from convserve_server.planning.dialects.words import CONVS, POOLS, SAME, TRANSPOSED, Axis, Words
from convserve_server.planning.windows import split


def _is_lower(axis: Axis) -> bool:
    return axis.padding == "same_lower"


def _check_signs(axis: Axis) -> None:
    if min(axis.pair) < 0:
        raise RefusedError("Attribute pads must not have negative values")


def _same(axis: Axis) -> Placement:
    return slide(axis, *same(axis, more_low=_is_lower(axis)))


# Shape inference divides as C does: a window that does not fit can give 1, or less than 0.


def _infer_conv(axis: Axis) -> Placement:
    _check_signs(axis)
    return _same(axis) if axis.padding in SAME else truncated(axis, *axis.pair)


def _infer_pool(axis: Axis) -> Placement:
    _check_signs(axis)
    if axis.padding in SAME:
        return _same(axis)
    if not axis.ceil_mode:
        return truncated(axis, *axis.pair)
    low, high = axis.pair
    room = axis.length + low + high - axis.span + axis.stride - 1
    count = (room // axis.stride if room >= 0 else -(-room // axis.stride)) + 1
    starts_outside = (count - 1) * axis.stride >= axis.length + low
    return Placement(count - 1 if starts_outside else count, low)


def _infer_transposed(axis: Axis) -> Placement:
    if axis.output_size is not None:
        return Placement(None if axis.output_size < axis.length else axis.output_size)
    extra = axis.output_padding or 0
    if axis.padding in SAME:  # the total is clamped at 0, and output_padding comes on top
        placement = cut(axis, axis.length * axis.stride, more_low=_is_lower(axis))
        size = min(axis.natural, axis.length * axis.stride)
        return Placement(size + extra, placement.low)
    low, high = axis.pair
    return Placement(axis.natural - low - high + extra, low)


# The Python reference.


def _reference_conv(axis: Axis) -> Placement:
    low, high = same(axis, more_low=_is_lower(axis)) if axis.padding in SAME else axis.pair
    size = (axis.length + low + high - axis.span) // axis.stride + 1
    if size < 0:
        raise RefusedError("ValueError: negative dimensions are not allowed")
    return Placement(size, low)


def _reference_check(words: Words, shape: Shape) -> None:
    if words.kind == "avg_pool" and words.ceil_mode and isinstance(words.padding, str):
        raise RefusedError("AssertionError: ceil_mode is not supported with auto_pad")
    if words.kind == TRANSPOSED and words.groups > 1 and not _is_depthwise(words, shape):
        raise RefusedError("ValueError: cannot reshape array")


def _is_depthwise(words: Words, shape: Shape) -> bool:
    """The only groups that its transposed convolution slices right."""
    return shape[0] == words.out_channels == words.groups


def _reference_max_pool(axis: Axis) -> Placement:
    empty = "what holds padding only is not a number"
    if axis.padding not in SAME:
        return _mark_empty(_reference_pool(axis), axis, empty)
    # its own branch rounds SAME_LOWER down, and splits every padding as SAME_UPPER
    size = axis.length // axis.stride if _is_lower(axis) else -(-axis.length // axis.stride)
    return Placement(size, ((size - 1) * axis.stride + axis.span - axis.length) // 2)


def _reference_avg_pool(axis: Axis) -> Placement:
    return _same(axis) if axis.padding in SAME else _reference_pool(axis)


def _reference_pool(axis: Axis) -> Placement:
    low, high = axis.pair
    if axis.ceil_mode:
        placement = slide_up(axis, low, high)
    else:
        room = axis.length + low + high - axis.span
        placement = Placement(room // axis.stride + 1, low)
    if placement.size is not None and placement.size < 0:
        raise RefusedError("ValueError: negative dimensions are not allowed")
    return placement


def _reference_transposed(axis: Axis) -> Placement:
    extra = axis.output_padding or 0
    if axis.padding in SAME:
        size = axis.output_size or axis.length * axis.stride
        total = axis.natural + extra - size
        low = total - total // 2 if _is_lower(axis) else total // 2
        return _columns_fit(axis, Placement(size, low), total)
    low, high = axis.pair
    size = axis.natural - low - high + extra
    return _columns_fit(axis, Placement(axis.output_size or size, low), low + high)


def _columns_fit(axis: Axis, placement: Placement, total: int) -> Placement:
    """Its col2im takes only sizes that a convolution would take back to the input's."""
    size = placement.size or 0
    if (size + total - axis.span) // axis.stride + 1 != axis.length:
        raise RefusedError("ValueError in col2im")
    return placement


# ONNX Runtime.


def _ort_check(words: Words, shape: Shape) -> None:
    if words.both:
        raise RefusedError("auto_pad and pads cannot be given together")
    if words.kind in CONVS and words.padding in SAME and max(words.dilation) > 1:
        raise RefusedError(f"Dilation not supported for AutoPadType::{_mode(words)}")
    axes = [words.axis(index, size) for index, size in enumerate(shape[1:])]
    is_plain = words.kind == "max_pool" and set(words.dilation) == {1}
    if is_plain and words.padding in SAME and any(map(_has_gaps, axes)):
        raise RefusedError("padding values must be non-negative")


def _has_gaps(axis: Axis) -> bool:
    """Whether ceil(L / stride) windows do not even reach the end of the input."""
    last = (-(-axis.length // axis.stride) - 1) * axis.stride
    return last + axis.kernel_size < axis.length


def _mode(words: Words) -> str:
    return "SAME_LOWER" if words.padding == "same_lower" else "SAME_UPPER"


def _ort_same(axis: Axis, spare: int = 0) -> tuple[int, int]:
    """(low, high) for SAME, with the kernel without its dilation.

    Where windows leave gaps the total is below 0, by `spare` less, and cuts what is not read from
    both ends: windows begin later than at the first element.
    """
    last = (-(-axis.length // axis.stride) - 1) * axis.stride
    total = last + axis.kernel_size - axis.length
    odd = _is_lower(axis) + spare * (total < 0)
    low = math.trunc((total + odd) / 2)
    return low, total - low


def _ort_conv(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return slide(axis, *_ort_same(axis, spare=1))
    if axis.length + sum(axis.pair) < axis.span:
        raise RefusedError("Invalid input shape: the kernel does not fit the padded input")
    return slide(axis, *axis.pair)


def _ort_pool(axis: Axis) -> Placement:
    low, high = axis.pair
    if axis.padding in SAME:
        low, high = _ort_same(axis)
    elif max(axis.pair) >= axis.kernel_size:
        raise RefusedError("Pad should be smaller than kernel")
    placement = (slide_up if axis.ceil_mode else truncated)(axis, low, high)
    if placement.size is not None and placement.size < 0:
        raise RefusedError("the output would have a negative size")
    return placement


def _ort_transposed(axis: Axis) -> Placement:
    extra = axis.output_padding or 0
    if extra and extra >= axis.stride:
        raise RefusedError("output_padding must be smaller than stride")
    if axis.output_size is not None:
        if axis.output_size >= axis.natural + axis.stride:
            raise RefusedError(f"output_shape {axis.output_size} is too large for the input")
        return _cut_to(axis, axis.output_size, extra)
    placement = _cut_or_same(axis, extra)
    if placement.size is not None and placement.size < 1:
        raise RefusedError("Computed output dimension is <= 0")
    return placement


def _cut_or_same(axis: Axis, extra: int) -> Placement:
    """Numbers, or at most L * stride: what is less stays less."""
    low, high = axis.pair
    full = axis.natural + extra
    if axis.padding not in SAME:
        return Placement(full - low - high, low)
    size = min(full, axis.length * axis.stride)
    return Placement(size, split(full - size, more_low=_is_lower(axis))[0])


def _cut_to(axis: Axis, size: int, extra: int) -> Placement:
    """A wanted size: without a mode the larger half is cut from the start (defs.cc)."""
    total = max(0, axis.natural + extra - size)
    return Placement(size, split(total, more_low=axis.padding not in ("same", "same_upper"))[0])


# OpenVINO.


def _openvino_conv(axis: Axis) -> Placement:
    placement = _same(axis) if axis.padding in SAME else _ort_conv(axis)
    if axis.length == 0:
        return evolve(placement, note="windows without any input hold memory that nobody wrote")
    return placement


def _openvino_max_pool(axis: Axis) -> Placement:
    placement = _openvino_pool(axis)
    return _mark_empty(placement, axis, "what holds padding only is minus infinity")


def _openvino_avg_pool(axis: Axis) -> Placement:
    placement = _openvino_pool(axis)
    low, high = axis.pair
    if axis.ceil_mode and (low or high) and _reaches_past(axis, placement, high):
        return evolve(placement, note="the last mean is divided by the whole kernel")
    return placement


def _openvino_pool(axis: Axis) -> Placement:
    if axis.padding in SAME:
        return _same(axis)
    if not axis.ceil_mode:
        return slide(axis, *axis.pair)
    low, high = axis.pair  # the last window may begin after the input
    return Placement(-(-(axis.length + low + high - axis.span) // axis.stride) + 1, low)


def _openvino_transposed(axis: Axis) -> Placement:
    extra = axis.output_padding or 0
    if axis.output_size is not None:
        more_low = axis.padding != "same_lower"  # also where the standard has it at the end
        return cut(axis, axis.output_size, more_low=more_low)
    return _cut_or_same(axis, extra)


def _reaches_past(axis: Axis, placement: Placement, high: int) -> bool:
    """Whether the last window ends after the padded input."""
    size = placement.size or 0
    return (size - 1) * axis.stride - placement.low + axis.span > axis.length + high


def _mark_empty(placement: Placement, axis: Axis, note: str) -> Placement:
    """The placement, with the note if a window holds padding only."""
    last = ((placement.size or 1) - 1) * axis.stride - placement.low
    begins_outside = placement.low >= axis.span or last >= axis.length
    return evolve(placement, note=note) if begins_outside else placement


_WINDOWS = dict.fromkeys(CONVS, _infer_conv)

RUNTIMES = (
    Runtime(
        name="onnx_infer",
        version="1.23.2",
        rules=_WINDOWS | dict.fromkeys(POOLS, _infer_pool) | {TRANSPOSED: _infer_transposed},
    ),
    Runtime(
        name="onnx_ref",
        version="1.23.2",
        check=_reference_check,
        rules={
            **dict.fromkeys(CONVS, _reference_conv),
            "max_pool": _reference_max_pool,
            "avg_pool": _reference_avg_pool,
            TRANSPOSED: _reference_transposed,
        },
    ),
    Runtime(
        name="onnxruntime",
        version="1.31.1",
        check=_ort_check,
        rules=dict.fromkeys(CONVS, _ort_conv)
        | dict.fromkeys(POOLS, _ort_pool)
        | {TRANSPOSED: _ort_transposed},
    ),
    Runtime(
        name="openvino",
        version="2026.4.1",
        rules={
            **dict.fromkeys(CONVS, _openvino_conv),
            "max_pool": _openvino_max_pool,
            "avg_pool": _openvino_avg_pool,
            TRANSPOSED: _openvino_transposed,
        },
    ),
)
