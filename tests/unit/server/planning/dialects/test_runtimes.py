"""Runtimes that no test can ask, by the rules of their sources."""

from __future__ import annotations

from convserve.layers import Conv
from convserve_server.planning.dialects import read_layer
from convserve_server.planning.dialects.comparing import render


def row_of(runtime: str, text: str, shape: tuple[int, ...]):
    """The runtime's row in the comparison of a layer, for a sample of `shape`."""
    reading = read_layer(text, "", shape[0])
    rows = render(reading.layer, reading.words, shape, 1, everyone=True)
    return next(row for row in rows if row.runtime == runtime)


def test_tensorflow_gives_nothing_where_one_element_is_missing():
    """Its kernel_shape_util.cc takes 0 for a size, and less for an error."""
    row = row_of("tensorflow", "Conv1D(8, 3)", (1, 2))
    assert (row.outcome, row.output_shape) == ("accepted", (1, 8, 0))
    assert row_of("tensorflow", "Conv1D(8, 3)", (1, 1)).outcome == "refused"


def test_darknet_knows_dilation_in_one_of_its_forks():
    """AlexeyAB's size leaves dilation out, and what it computes multiplies the padding by it."""
    section = "[convolutional] filters=8 size=3 pad=1 dilation=2"
    assert row_of("darknet", section, (1, 12, 12)).outcome == "refused"
    row = row_of("darknet_alexeyab", section, (1, 12, 12))
    assert (row.outcome, row.output_shape) == ("same", (1, 8, 12, 12))
    reading = read_layer(section, "", 1)
    assert reading.layer == Conv(8, 3, (1, 1), 2, 2)
    assert reading.notes == ("((1, 1),) by Darknet's rule is padding=2",)
    row = row_of("darknet_alexeyab", "nn.Conv2d(1, 8, 3, padding=2, dilation=2)", (1, 12, 12))
    assert (row.outcome, row.output_shape) == ("other_shape", (1, 8, 14, 14))
    assert row.exact == "[convolutional] filters=8 size=3 stride=1 pad=1 dilation=2"


def test_dsp_jl_has_one_mode():
    assert row_of("dsp_jl", "np.convolve(x, (4,), mode='full')", (1, 9)).outcome == "same"
    row = row_of("dsp_jl", "np.convolve(x, (4,), mode='same')", (1, 9))
    assert (row.outcome, row.message) == ("refused", "its only mode is 'full'")


def test_matlabs_same_is_tensorflows():
    row = row_of("matlab", 'Conv2D(8, 4, strides=2, padding="same")', (3, 7, 7))
    assert (row.outcome, row.output_shape) == ("same", (1, 8, 4, 4))


def test_a_pool_of_flax_is_written_in_its_words():
    row = row_of("jax", "nn.MaxPool2d(3, stride=2, padding=1)", (3, 9, 9))
    assert row.outcome == "same"
    assert row.spelling.startswith("linen.max_pool(")
