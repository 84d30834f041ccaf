"""Deformable convolution."""

from __future__ import annotations

from attrs import field, frozen

from convserve.layers import fields
from convserve.layers.conv import GroupedConvolution


@frozen
class DeformConv(GroupedConvolution):
    """Convolution over two spatial axes whose taps are moved by offsets that are an input.

    Reads x (N, C, H, W); an offset (N, 2 * offset_groups * taps, H', W') with taps =
    prod(kernel_size) and, per tap, y before x; and, if named, a mask (N, offset_groups * taps, H',
    W') that every read value is multiplied by. A tap between elements is interpolated bilinearly,
    with zeros outside. Gives (N, out_channels, H', W') with H', W' as for `Conv`.
    Weights: `weight` (out_channels, C / groups, *kernel_size), `bias` (out_channels).
    Dai et al. 2017, arXiv:1703.06211; with a mask Zhu et al. 2018, arXiv:1811.11168.
    """

    offset_groups: int = field(default=1, converter=fields.as_int, validator=fields.positive)
    bias: bool = field(default=True, converter=fields.as_bool, validator=fields.boolean)
