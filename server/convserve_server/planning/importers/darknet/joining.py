"""Darknet's sections that join, cut and rearrange (src/parser.c and the layer's own file)."""

from __future__ import annotations

from convserve.layers import (
    Add,
    BatchNorm,
    Concat,
    GlobalAvgPool,
    Mul,
    Permute,
    Rescale,
    Reshape,
    Slice,
    Softmax,
    Upsample,
)

from convserve_server.planning.importers.darknet.activations import add_activation
from convserve_server.planning.importers.darknet.place import Place
from convserve_server.planning.importers.darknet.windows import EPS


def pool_globally(place: Place) -> str:
    """[avgpool]: one value per channel."""
    return place.add(GlobalAvgPool(), place.input)


def upsample(place: Place) -> str:
    """[upsample]: every element `stride` times per axis, times `scale`."""
    scale = place.fields.real("scale", 1.0)
    y = place.add(Upsample(place.fields.integer("stride", 2, low=1)), place.input)
    return y if scale == 1 else place.add(Rescale(scale), y, part="scale")


def route(place: Place) -> str:
    """[route]: sections side by side along the channels, or one of `groups` parts of each."""
    groups = place.fields.integer("groups", 1, low=1)
    group = place.fields.integer("group_id", 0)
    names = _sources(place, "layers")
    if groups > 1:
        names = [_part(place, name, groups, group) for name in names]
    return names[0] if len(names) == 1 else place.add(Concat(), *names)


def add(place: Place) -> str:
    """[shortcut]: the sum with one or more sections of one size."""
    fields = place.fields
    fields.require("weights_type", ("none",), "only none")
    fields.require("weights_normalization", ("none",), "only none")
    for name in ("alpha", "beta"):
        fields.require(name, (1, 1.0), "only 1")
    others = _sources(place, "from")
    _check_alike(place, others)
    return add_activation(place.draft, place.name, fields, place.add(Add(), place.input, *others))


def scale_channels(place: Place) -> str:
    """[scale_channels]: the section `from` times the input, which has one element per channel."""
    place.fields.require("scale_wh", (0,), "one factor per channel")
    (other,) = _sources(place, "from", 1)
    if place.shape != (place.draft.shape(other)[0], 1, 1):
        raise place.unsupported(
            f"the factors {place.shape} are not one for each channel of {place.draft.shape(other)}",
            "from",
        )
    product = place.add(Mul(), other, place.input)
    return add_activation(place.draft, place.name, place.fields, product)


def attend(place: Place) -> str:
    """[sam]: the input times the section `from`, element by element."""
    others = _sources(place, "from", 1)
    _check_alike(place, others)
    product = place.add(Mul(), place.input, *others)
    return add_activation(place.draft, place.name, place.fields, product)


def reorganize(place: Place) -> str:
    """[reorg]: (C, H, W) to (C * s^2, H / s, W / s), by the addresses of Darknet's reorg_cpu.

    It reads the input as if it were (C / s^2, H * s, W * s), which is no space-to-depth.
    """
    return _reorganize(place, as_written=True)


def space_to_depth(place: Place) -> str:
    """[reorg3d] of AlexeyAB's Darknet: space to depth, the place in the block first."""
    return _reorganize(place, as_written=False)


def normalize(place: Place) -> str:
    """[batchnorm]."""
    return place.add(BatchNorm(EPS), place.input)


def activate(place: Place) -> str:
    """[activation]."""
    return add_activation(place.draft, "", place.fields, place.input, name=place.name)


def softmax(place: Place) -> str:
    """[softmax]: over all elements of a sample, or over the channels if `spatial`."""
    fields = place.fields
    fields.require("groups", (1,), "one group")
    fields.require("temperature", (1, 1.0), "temperature 1")
    fields.require("tree", (), "no tree of classes")
    fields.ignore("noloss")
    spatial = fields.flag("spatial", False)
    x = place.input if spatial or place.shape[1:] in ((), (1, 1)) else place.flat()
    return place.add(Softmax(), x)


def crop(place: Place) -> str:
    """[crop]: the middle, and x * 2 - 1 unless `noadjust`: what it does outside of training."""
    fields = place.fields
    fields.ignore("flip", "saturation", "exposure", "shift")
    wanted = [fields.integer(f"crop_{side}", 1, low=1) for side in ("height", "width")]
    noadjust = fields.flag("noadjust", False)
    y = place.input
    for axis, (length, size) in enumerate(zip(place.shape[1:], wanted, strict=True), start=2):
        if size > length:
            raise place.unsupported(f"{size} is more than the input's {length}", "crop_height")
        start = (length - size) // 2
        if size < length:
            y = place.add(Slice(axis, start, start + size), y, part="crop")
    return y if noadjust else place.add(Rescale(2.0, -1.0), y)


def _sources(place: Place, field: str, count: int | None = None) -> list[str]:
    """The results of other sections: by number, or below 0 counted back from this one."""
    numbers = place.fields.integers(field, count, low=-(1 << 31))
    return [place.find(number) for number in numbers]


def _part(place: Place, name: str, groups: int, group: int) -> str:
    channels = place.draft.shape(name)[0]
    if channels % groups or group >= groups:
        raise place.unsupported(f"{channels} channels have no group {group} of {groups}", "groups")
    size = channels // groups
    return place.add(Slice(1, group * size, (group + 1) * size), name)


def _check_alike(place: Place, others: list[str]) -> None:
    for other in others:
        shape = place.draft.shape(other)
        if shape != place.shape:
            raise place.unsupported(
                f"it joins {place.shape} and {shape}; only equal sizes are supported", "from"
            )


def _reorganize(place: Place, *, as_written: bool) -> str:
    place.fields.require("reverse", (0,), "only 0")
    s = place.fields.integer("stride", 1, low=1)
    channels, height, width = place.shape
    if height % s or width % s or (as_written and channels % s**2):
        raise place.unsupported(f"stride {s} does not divide the input {place.shape}", "stride")
    block = s * s
    if as_written:
        view = (channels // block, height, s, width, s)
    else:
        view = (channels, height // s, s, width // s, s)
    split = place.add(Reshape(view), place.input, part="split")
    moved = place.add(Permute((3, 5, 1, 2, 4)), split, part="permute")
    return place.add(Reshape((channels * block, height // s, width // s)), moved)
