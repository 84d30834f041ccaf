"""Tiles and waves of matrix products, by numbers that were worked out by hand."""

import pytest
from convserve.layers import Conv, ConvTranspose, Dense, DepthwiseConv, ReLU, SeparableConv
from convserve_server.planning.quantization import (
    TILES,
    Gemm,
    explain_quantization,
    gemm_of,
    quantize,
)

from tests.planning import step_of

A100 = 108


def test_nvidias_example_fills_two_waves_of_an_a100():
    """S0-25: 108 samples make 216 tiles, two for each multiprocessor."""
    gemm = gemm_of(step_of(Conv(256, 3, padding=1), (108, 4096, 16, 16)))
    assert gemm == Gemm(rows=27648, columns=256, depth=36864)
    found = quantize(gemm, A100)
    assert (found.gemm_m, found.gemm_n, found.gemm_k) == (27648, 256, 36864)
    assert (found.tile_m, found.tile_n, found.tile_count) == (256, 128, 216)
    assert (found.wave_count, found.multiprocessor_count, found.efficiency) == (2, A100, 1.0)
    assert explain_quantization(gemm, found) == (
        "tiles = ceil(rows / 256) * ceil(columns / 128) = ceil(27648 / 256) * ceil(256 / 128) = "
        "216; waves = ceil(216 / 108 multiprocessors) = 2; 100.0% of their elements are useful "
        "(assumed: the most efficient tile that is not larger than the product)"
    )


def test_without_padding_the_same_layer_makes_166_tiles():
    found = quantize(gemm_of(step_of(Conv(256, 3), (108, 4096, 16, 16))), A100)
    assert (found.gemm_m, found.tile_count, found.wave_count) == (21168, 166, 2)
    assert found.efficiency == 21168 * 256 / (2 * A100 * 256 * 128)


def test_one_sample_more_costs_another_wave():
    found = quantize(gemm_of(step_of(Conv(256, 3, padding=1), (109, 4096, 16, 16))), A100)
    assert (found.tile_count, found.wave_count) == (218, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "gemm"),
    [
        (Conv(8, (3, 5), stride=2, groups=2), (4, 6, 9, 9), Gemm(4 * 4 * 3, 4, 3 * 15, 2)),
        (Conv(8, 3), (2, 6, 10), Gemm(2 * 8, 8, 18)),
        (ConvTranspose(5, 3, stride=2), (2, 7, 4, 4), Gemm(2 * 81, 5, 7 * 9)),
        (Dense(10), (32, 20), Gemm(32, 10, 20)),
        (SeparableConv(16, 3, padding=1), (2, 8, 6, 6), Gemm(2 * 36, 16, 8)),
        (DepthwiseConv(3), (2, 8, 6, 6), None),
        (ReLU(), (2, 8, 6, 6), None),
        (Conv(8, 3), (0, 6, 10), None),
    ],
)
def test_the_product_of_a_layer(layer, shape, gemm):
    assert gemm_of(step_of(layer, shape)) == gemm


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (10**6, 10**3, (256, 128)),
        (10**6, 127, (256, 64)),
        (128, 10**3, (128, 256)),
        (255, 255, (128, 128)),
        (100, 10**3, (64, 256)),
        (100, 70, (64, 64)),
        (3, 3, (64, 64)),
    ],
)
def test_no_tile_is_larger_than_the_product_but_the_smallest(rows, columns, tile):
    found = quantize(Gemm(rows, columns, 1), 1)
    assert (found.tile_m, found.tile_n) == tile


def test_groups_multiply_tiles_and_nothing_is_more_than_useful():
    gemm = Gemm(rows=1000, columns=100, depth=7, groups=3)
    found = quantize(gemm, 10)
    assert found.tile_count == 3 * 4 * 2
    assert found.wave_count == 3
    assert 0 < found.efficiency <= 1
    assert "3 * ceil(1000 / 256)" in explain_quantization(gemm, found)


def test_every_tile_has_its_transposed():
    assert {tile[::-1] for tile in TILES} == set(TILES)
