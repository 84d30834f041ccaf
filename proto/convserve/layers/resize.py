"""Resizing of the spatial axes."""

from __future__ import annotations

from attrs import Attribute, field, frozen

from convserve.errors import InvalidLayerError
from convserve.layers import fields
from convserve.layers.fields import Ints, Layer

RESIZE_MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def _alone(layer: Upsample, attribute: Attribute[Ints | None], value: Ints | None) -> None:
    """The check that exactly one of `scale` and `size` is given."""
    if (layer.scale is None) == (value is None):
        raise InvalidLayerError(
            f"scale is {layer.scale} and size is {value}: give exactly one of them",
            field=attribute.name,
        )
    fields.positive_ints(layer, attribute, value)


def _corners(layer: Upsample, attribute: Attribute[bool], value: bool) -> None:
    fields.boolean(layer, attribute, value)
    if value and (layer.mode == "nearest" or layer.coordinates not in (None, "align_corners")):
        raise InvalidLayerError(
            f"align_corners is for mode linear and cubic without other coordinates; mode is "
            f"{layer.mode} and coordinates is {layer.coordinates}",
            field=attribute.name,
        )


@frozen
class Upsample(Layer):
    """More (or fewer) elements per spatial axis: `scale` times as many, or `size`.

    `mode` "nearest" repeats elements; "linear" goes between two per axis (bilinear, trilinear);
    "cubic" between four (one or two axes, Keys' cubic with `cubic_coefficient`). The border is
    repeated. `coordinates` says where element x of the result lies in the input:

    * "half_pixel": (x + 0.5) / s - 0.5, with s the new size over the old
    * "asymmetric": x / s
    * "align_corners": x * (old - 1) / (new - 1)
    * "pytorch_half_pixel": "half_pixel", but 0 for a new size of 1

    None is PyTorch's: "asymmetric" for nearest, "align_corners" if `align_corners`, else
    "half_pixel". `rounding` is how nearest rounds: None is "floor".

    The engine `cpu` leaves linear and cubic to ONNX Runtime, which computes places in float32, as
    PyTorch does: along an axis of 10,000 elements they may be off by 1e-3 of an element, and
    results by that part of the difference between neighbours. Those of nearest are exact.
    """

    scale: Ints | None = field(
        default=None, converter=fields.as_optional_ints, validator=fields.positive_ints
    )
    mode: str = field(default="nearest", validator=fields.one_of(*RESIZE_MODES))
    align_corners: bool = field(default=False, converter=fields.as_bool, validator=_corners)
    size: Ints | None = field(
        default=None, kw_only=True, converter=fields.as_optional_ints, validator=_alone
    )
    coordinates: str | None = field(
        default=None, kw_only=True, validator=fields.optional_one_of(*COORDINATES)
    )
    rounding: str | None = field(
        default=None, kw_only=True, validator=fields.optional_one_of(*ROUNDINGS)
    )
    cubic_coefficient: float = field(
        default=-0.75, kw_only=True, converter=fields.as_float, validator=fields.finite
    )
