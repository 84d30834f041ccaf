"""The arithmetic of a layer, drawn: which cells it sees, and the formula of its size."""

from __future__ import annotations

from collections import Counter

import pytest
from convserve.errors import InvalidArgumentError, UnsupportedError
from convserve.layers import AvgPool, Conv, ConvTranspose, MaxPool, ReLU
from convserve.pictures import draw_layer
from convserve.pictures.sheet import LOOKS
from convserve.pictures.style import STYLE
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from tests.planning import plan_layer


def drawn(layer, shape, path=None):
    """The picture of a layer where it reads an input of that shape."""
    planned = plan_layer(layer, shape)
    return draw_layer(planned.resolved, shape, planned.output.shape, path)


def cells(figure):
    """How many cells of each look there are, the one of the legend not counted."""
    looks = {(colour.lower(), hatch): name for name, (colour, hatch, _) in LOOKS.items()}
    count = Counter(
        looks[to_hex(patch.get_facecolor()), patch.get_hatch() or ""]
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle)
    )
    return {name: number - 1 for name, number in count.items()}


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_convolution():
    figure = drawn(Conv(8, 3, stride=2, padding=1), (1, 3, 5, 5))
    assert cells(figure) == {"input": 16, "padding": 24, "seen": 9, "output": 8, "chosen": 1}
    assert "conv 3 × 3, stride 2, padding 1" in texts(figure)
    assert "Size: ⌊(5 + 1 + 1 − 3) / 2⌋ + 1 = 3" in texts(figure)
    assert any(text.startswith("Output (1, 1) sees rows 1 to 3 and") for text in texts(figure))
    assert {"0,0", "1,1", "2,2"} <= {*texts(figure)}


def test_padding_in_the_window():
    figure = drawn(Conv(8, 3, padding=2, dilation=2), (1, 3, 7, 6))
    assert cells(figure)["seen"] == 4
    assert cells(figure)["unseen"] == 5
    assert any("in steps of 2" in text for text in texts(figure))
    assert (
        "Size in rows: ⌊(7 + 2 + 2 − 5) / 1⌋ + 1 = 7, with a window of 2 · (3 − 1) + 1 = 5"
        in texts(figure)
    )


def test_a_transposed_convolution_sees_a_spread_input():
    figure = drawn(ConvTranspose(4, 3, stride=2, padding=1, output_padding=1), (1, 3, 3, 4))
    assert cells(figure) == {
        "input": 12 - 4,
        "seen": 4,
        "zero": 5 * 7 - 12 - 5,
        "unseen": 5,
        "padding": 8 * 10 - 5 * 7,
        "output": 6 * 8 - 1,
        "chosen": 1,
    }
    assert "Size in rows: (3 − 1) · 2 − 1 − 1 + 3 + 1 = 6" in texts(figure)


def test_rounding_up_is_drawn_as_such():
    figure = drawn(MaxPool(3, stride=2, ceil_mode=True), (1, 3, 6, 6))
    assert "Size: ⌈(6 + 0 + 0 − 3) / 2⌉ + 1 = 3" in texts(figure)
    assert "0,0" not in texts(figure)  # it has no weight whose numbers could be shown


def test_one_axis_has_lines():
    figure = drawn(Conv(8, 3, stride=2, padding=1, dilation=2), (1, 3, 12))
    assert len(figure.axes[0].lines) == 5 * 3
    assert cells(figure) == {"input": 9, "seen": 3, "padding": 2, "output": 4, "chosen": 1}
    assert any(
        text.startswith("Output (1) sees elements 1 to 5 in steps of 2") for text in texts(figure)
    )


def test_a_causal_layer_shows_an_output_that_sees_something():
    figure = drawn(Conv(8, 3, padding="causal", dilation=4), (1, 3, 40))
    assert cells(figure)["seen"] == 2


def test_long_axes_are_cut():
    figure = drawn(Conv(64, 7, stride=2, padding=3), (1, 3, 224, 224))
    assert sum(cells(figure).values()) < 14 * 14 + 6 * 6
    assert {"input 224 × 224", "output 112 × 112", "⋯", "⋮"} <= {*texts(figure)}


def test_of_three_axes_two_are_drawn():
    figure = drawn(AvgPool(2), (1, 3, 8, 6, 4))
    assert "avg_pool 2 × 2 × 2, stride 2, its last 2 axes" in texts(figure)
    assert cells(figure)["seen"] == 4


def test_lettering_stays_on_the_sheet():
    figure = drawn(ConvTranspose(4, 3, stride=2, padding=1, output_padding=1), (1, 3, 3, 4))
    figure.canvas.draw()
    page = figure.bbox
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 < box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 < box.y1 <= page.y1, text.get_text()


def test_equal_layers_give_equal_files(tmp_path):
    for name in ("a.svg", "b.svg"):
        drawn(Conv(8, 3, stride=2, padding=1), (1, 3, 5, 5), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert STYLE["svg.hashsalt"]


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (ReLU(), (1, 3, 8, 8), "relu has no windows to draw"),
        (Conv(4, 33), (1, 3, 64), "window of 33"),
    ],
)
def test_what_cannot_be_drawn(layer, shape, words):
    with pytest.raises(UnsupportedError, match=words):
        drawn(layer, shape)


def test_a_layer_must_be_resolved():
    with pytest.raises(UnsupportedError, match="use a resolved layer"):
        draw_layer(Conv(4, 3, padding="same"), (1, 3, 8), (1, 4, 8))


def test_names_of_files_are_checked_first(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"\.svg, \.png, \.pdf"):
        drawn(Conv(4, 3), (1, 3, 8), tmp_path / "picture")
