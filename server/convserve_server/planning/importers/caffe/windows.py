"""Caffe's convolutions and pools (conv_layer.cpp, deconv_layer.cpp, pooling_layer.cpp)."""

from __future__ import annotations

from attrs import frozen
from convserve.layers import (
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    PyramidPool,
)
from convserve.layers.fields import Ints

from convserve_server.planning.axes import axis_names, per_axis
from convserve_server.planning.importers.caffe.place import Place, window


def convolve(place: Place) -> str:
    """Convolution: sizes are rounded down."""
    return _convolved(place, Conv)


def convolve_transposed(place: Place) -> str:
    """Deconvolution: (L - 1) * stride + e - 2 * pad."""
    return _convolved(place, ConvTranspose)


def pool(place: Place) -> str:
    """Pooling: MAX or AVE, sizes rounded up unless round_mode says FLOOR."""
    fields = place.fields("pooling_param")
    largest = fields.word("pool", ("MAX", "AVE"), "MAX") == "MAX"
    if fields.flag("global_pooling", False):
        fields.ignore("pad", "stride", "round_mode")
        y = place.add(GlobalMaxPool() if largest else GlobalAvgPool(), place.input)
    else:
        rank = len(place.shape) - 1
        spread = (
            per_axis(window(fields, "kernel", None, 1, whole="kernel_size"), rank, "kernel_size"),
            per_axis(window(fields, "stride", 1, 1), rank, "stride"),
            per_axis(window(fields, "pad", 0, 0), rank, "pad"),
        )
        up = fields.word("round_mode", ("CEIL", "FLOOR"), "CEIL") == "CEIL"
        y = _pool_windows(place, largest, spread, ceil_mode=up)
    fields.finish()
    return y


def pool_pyramid(place: Place) -> str:
    """SPP: levels of 1, 2, 4, ... bins per axis, flattened and joined."""
    fields = place.fields("spp_param")
    height = fields.integer("pyramid_height", low=1)
    mode = fields.word("pool", ("MAX", "AVE"), "MAX")
    fields.finish()
    levels = tuple(2**level for level in range(min(height, 31)))
    lengths = place.shape[1:]
    if any(length < levels[-1] for length in lengths):
        raise place.unsupported(f"{levels[-1]} bins are more than the input's {lengths}", "spp")
    if all(length % levels[-1] == 0 for length in lengths):
        return place.add(PyramidPool(levels, "max" if mode == "MAX" else "avg"), place.input)
    parts = [_pyramid_level(place, bins, mode == "MAX") for bins in levels]
    return place.add(Concat(), *parts) if len(parts) > 1 else parts[0]


def _pyramid_level(place: Place, bins: int, largest: bool) -> str:
    """Windows of ceil(L / bins), with what is missing as padding on both sides."""
    lengths = place.shape[1:]
    kernel = tuple(-(-length // bins) for length in lengths)
    pads = tuple((k * bins - length + 1) // 2 for k, length in zip(kernel, lengths, strict=True))
    part = f"{bins}_bins"
    pooled = _pool_windows(place, largest, (kernel, kernel, pads), ceil_mode=True, part=part)
    return place.add(Flatten(), pooled, part=f"{part}/flatten")


@frozen
class _PoolAxis:
    """One axis of a pool, and Caffe's count of windows."""

    length: int
    kernel: int
    stride: int
    pad: int
    ceil_mode: bool

    @property
    def count(self) -> int:
        """Windows: the last one starts before L + pad, but only where there is padding."""
        room = self.length + 2 * self.pad - self.kernel
        count = (-(-room // self.stride) if self.ceil_mode else room // self.stride) + 1
        if self.pad and (count - 1) * self.stride >= self.length + self.pad:
            count -= 1
        return count

    @property
    def is_empty_at_end(self) -> bool:
        """Whether the last window has no element of the input."""
        return (self.count - 1) * self.stride - self.pad >= self.length


def _pool_windows(
    place: Place,
    largest: bool,
    spread: tuple[Ints, Ints, Ints],
    *,
    ceil_mode: bool,
    part: str = "",
) -> str:
    """A pool of windows, strides and pads, where PyTorch's rule is Caffe's too."""
    kernel, stride, pads = spread
    numbers = zip(place.shape[1:], kernel, stride, pads, strict=True)
    _check_axes(place, [_PoolAxis(*each, ceil_mode) for each in numbers])
    both = tuple((pad, pad) for pad in pads)
    kind = MaxPool if largest else AvgPool
    return place.add(kind(kernel, stride, both, ceil_mode=ceil_mode), place.input, part=part)


def _check_axes(place: Place, axes: list[_PoolAxis]) -> None:
    for name, axis in zip(axis_names(len(axes)), axes, strict=True):
        if axis.pad >= axis.kernel or axis.length + 2 * axis.pad < axis.kernel:
            raise place.unsupported(
                f"kernel {axis.kernel} with pad {axis.pad} on the {name} of {axis.length}: Caffe "
                "needs pad < kernel <= L + 2 * pad",
                "pooling_param.kernel_size",
            )
        if axis.is_empty_at_end:
            start = (axis.count - 1) * axis.stride
            raise place.unsupported(
                f"the last of {axis.count} windows over the {name} starts at {start}, behind the "
                f"{axis.length} elements: Caffe keeps it, empty, where pad is 0; use "
                "round_mode: FLOOR, or another input size",
                "pooling_param.stride",
            )


def _convolved(place: Place, kind: type[Conv | ConvTranspose]) -> str:
    fields = place.fields("convolution_param")
    if place.axis(fields) != 1:
        raise fields.unsupported("axis", "channels on axis 1")
    fields.ignore("weight_filler", "bias_filler", "force_nd_im2col")
    layer = kind(
        fields.integer("num_output", low=1),
        window(fields, "kernel", None, 1, whole="kernel_size"),
        window(fields, "stride", 1, 1),
        tuple((pad, pad) for pad in window(fields, "pad", 0, 0, absent=0)),
        dilation=fields.integers("dilation", None, (1,), 1),
        groups=fields.integer("group", 1, low=1),
        bias=fields.flag("bias_term", True),
    )
    fields.finish()
    return place.add(layer, place.input)
