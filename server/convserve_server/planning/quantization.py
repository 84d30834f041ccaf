"""A layer's matrix product cut into tiles, and how well these fill a GPU.

A convolution is a product of rows = batch * positions of its result, columns = result channels of
one group, and depth = input channels of one group * taps, which is never built in memory (implicit
GEMM). Tiles at the edges are partly empty (tile quantization), and so is the last round over the
multiprocessors (wave quantization): NVIDIA, "Matrix Multiplication Background User's Guide", 3.1
and 3.2, and "Convolutional Layers User's Guide".
"""

from __future__ import annotations

import math

from attrs import frozen
from convserve.layers import Dense
from convserve.plans import Quantization

from convserve_server.planning.plain import PlainConv, plain_convs
from convserve_server.planning.program import Step

# Rows by columns, in the order of efficiency that the guide gives, each with its transposed.
TILES = (
    (256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64),
)  # fmt: skip


@frozen
class Gemm:
    """`groups` products of (rows, depth) by (depth, columns)."""

    rows: int
    columns: int
    depth: int
    groups: int = 1

    @property
    def mac_count(self) -> int:
        """Multiply-accumulates of all groups."""
        return self.rows * self.columns * self.depth * self.groups


def gemm_of(step: Step) -> Gemm | None:
    """The largest matrix product of a layer; None for layers that are none.

    A depthwise convolution is none: with one column per group, no library computes it so.
    """
    if isinstance(step.layer, Dense):
        columns, depth = step.parameters[0].shape
        return _useful([Gemm(math.prod(step.output.shape[:-1]), columns, depth)])
    return _useful([_of_conv(conv) for conv in plain_convs(step)])


def quantize(gemm: Gemm, multiprocessor_count: int) -> Quantization:
    """The product in tiles, one per multiprocessor at a time.

    The tile is the most efficient one that is not larger than the product, or the smallest.
    """
    tile_m, tile_n = next(
        (tile for tile in TILES if tile[0] <= gemm.rows and tile[1] <= gemm.columns), TILES[-1]
    )
    tiles = gemm.groups * _ceil(gemm.rows, tile_m) * _ceil(gemm.columns, tile_n)
    waves = _ceil(tiles, multiprocessor_count)
    useful = gemm.groups * gemm.rows * gemm.columns
    return Quantization(
        gemm_m=gemm.rows,
        gemm_n=gemm.columns,
        gemm_k=gemm.depth,
        tile_m=tile_m,
        tile_n=tile_n,
        tile_count=tiles,
        multiprocessor_count=multiprocessor_count,
        wave_count=waves,
        efficiency=useful / (waves * multiprocessor_count * tile_m * tile_n),
    )


def explain_quantization(gemm: Gemm, it: Quantization) -> str:
    """The tiles and waves as a formula with its numbers."""
    groups = f"{gemm.groups} * " if gemm.groups != 1 else ""
    formula = "groups * " if gemm.groups != 1 else ""
    return (
        f"tiles = {formula}ceil(rows / {it.tile_m}) * ceil(columns / {it.tile_n}) = "
        f"{groups}ceil({it.gemm_m} / {it.tile_m}) * ceil({it.gemm_n} / {it.tile_n}) = "
        f"{it.tile_count}; waves = ceil({it.tile_count} / {it.multiprocessor_count} "
        f"multiprocessors) = {it.wave_count}; {it.efficiency:.1%} of their elements are useful "
        f"(assumed: the most efficient tile that is not larger than the product)"
    )


def _of_conv(conv: PlainConv) -> Gemm:
    batch, channels, *sizes = conv.result.shape
    depth = conv.read.shape[1] // conv.groups * math.prod(conv.weight.shape[2:])
    return Gemm(batch * math.prod(sizes), channels // conv.groups, depth, conv.groups)


def _useful(gemms: list[Gemm]) -> Gemm | None:
    """The one with the most work, of those that are products."""
    found = [gemm for gemm in gemms if gemm.columns > 1 and gemm.mac_count]
    return max(found, key=lambda gemm: gemm.mac_count, default=None)


def _ceil(count: int, size: int) -> int:
    return -(-count // size)
