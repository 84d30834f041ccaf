"""Darknet's sections with weights or windows (src/parser.c and the layer's own file)."""

from __future__ import annotations

from convserve.layers import AvgPool, BatchNorm, Conv, ConvTranspose, Dense, Layer, MaxPool, Pad

from convserve_server.planning.importers.darknet.activations import add_activation
from convserve_server.planning.importers.darknet.place import Place
from convserve_server.planning.importers.fields import FileFields

EPS = 1e-5  # batchnorm_layer.c
LOWEST = -3.4028234663852886e38  # -FLT_MAX: what a maximum starts from


def convolve(place: Place) -> str:
    """[convolutional]: pad=1 means size / 2, whatever `padding` says."""
    fields = place.fields
    for name in (
        "antialiasing", "assisted_excitation", "binary", "bin_output", "coordconv", "cbn", "dot",
        "flipped", "rotate", "stretch", "stretch_sway", "sway", "xnor",
    ):  # fmt: skip
        fields.require(name, (0,), "only 0")
    fields.require("share_index", (), "weights shared with another section")
    fields.ignore("reverse")  # of the gradient
    size = fields.integer("size", 1, low=1)
    padding = fields.integer("padding", 0)
    padding = size // 2 if fields.flag("pad", False) else padding
    dilation = fields.integer("dilation", 1, low=1)
    dilation = dilation if size > 1 else 1
    if dilation > 1 and 2 * padding != size - 1:
        raise fields.unsupported(
            "dilation", f"with padding {padding}, not (size - 1) / 2, Darknet's own sizes disagree"
        )
    batch_normalize = fields.flag("batch_normalize", False)
    layer = Conv(
        fields.integer("filters", 1, low=1),
        size,
        place.strides(),
        padding * dilation,
        dilation,
        fields.integer("groups", 1, low=1),
        not batch_normalize,
    )
    return _finished(place, layer, place.input, batch_normalize)


def convolve_transposed(place: Place) -> str:
    """[deconvolutional]: (L - 1) * stride + size - 2 * padding."""
    fields = place.fields
    size = fields.integer("size", 1, low=1)
    padding = fields.integer("padding", 0)
    padding = size // 2 if fields.flag("pad", False) else padding
    batch_normalize = fields.flag("batch_normalize", False)
    layer = ConvTranspose(
        fields.integer("filters", 1, low=1),
        size,
        place.strides(),
        padding,
        bias=not batch_normalize,
    )
    return _finished(place, layer, place.input, batch_normalize)


def connect(place: Place) -> str:
    """[connected]: all elements of the input."""
    batch_normalize = place.fields.flag("batch_normalize", False)
    layer = Dense(place.fields.integer("output", 1, low=1), not batch_normalize)
    return _finished(place, layer, place.flat(), batch_normalize)


def pool_max(place: Place) -> str:
    """[maxpool]: `padding` is the sum of both sides, by default size - 1; low is half of it."""
    fields = place.fields
    for name in ("antialiasing", "maxpool_depth", "maxpool_zero_nonmax"):
        fields.require(name, (0,), "only 0")
    fields.ignore("out_channels")  # of maxpool_depth
    strides = place.strides()
    size = fields.integer("size", fields.integer("stride", 1), low=1)
    low, high = _sides(fields, size)
    if high < size:  # every window has an element of the input
        return place.add(MaxPool(size, strides, ((low, high),)), place.input)
    padded = place.add(Pad(((low, high),), value=LOWEST), place.input, part="pad")
    return place.add(MaxPool(size, strides), padded)


def pool_average(place: Place) -> str:
    """[local_avgpool]: as [maxpool], with the mean of what is inside the input."""
    strides = place.strides()
    size = place.fields.integer("size", place.fields.integer("stride", 1), low=1)
    low, high = _sides(place.fields, size)
    if high >= size:
        raise place.fields.unsupported("padding", f"less than the size {size} on each side")
    layer = AvgPool(size, strides, ((low, high),), count_include_pad=False)
    return place.add(layer, place.input)


def _finished(place: Place, layer: Layer, x: str, batch_normalize: bool) -> str:
    y = place.add(layer, x)
    if batch_normalize:
        y = place.add(BatchNorm(EPS), y, part="batch_norm")
    return add_activation(place.draft, place.name, place.fields, y, default="logistic")


def _sides(fields: FileFields, size: int) -> tuple[int, int]:
    total = fields.integer("padding", size - 1)
    return total // 2, total - total // 2
