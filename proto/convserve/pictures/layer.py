"""The arithmetic of one layer, drawn: which inputs one output sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from attrs import frozen

from convserve.errors import UnsupportedError
from convserve.layers import ConvTranspose, Layer, kind_of
from convserve.pictures.sheet import SMALL, Sheet
from convserve.pictures.style import GREY, Figure, PathLikeText, check_path, styled, write
from convserve.pictures.window import MAX_SHOWN_AXES, AxisView, axis_views
from convserve.tensors import Shape

MAX_CELLS = 14  # drawn of an axis, unless the window is longer
MAX_REACH = 30  # coordinates of a window that can still be read
LEFT, TOP = 1.6, 3.4  # cells before the picture: axes' numbers, and the title
GAP = 4.0  # cells between input and output
TEXT_CELLS = 33.0  # what the lettering is wide
WEIGHTED = ("conv", "conv_transpose", "depthwise_conv", "separable_conv", "sub_pixel_conv")


@frozen
class Strip:
    """What is drawn of an axis: coordinates from `first` until before `last`, and `count` outputs.

    `chosen` is the output whose window is shown.
    """

    view: AxisView
    first: int
    last: int
    count: int
    chosen: int

    @property
    def taps(self) -> list[int]:
        """The coordinates that the chosen output sees."""
        return self.view.taps(self.chosen)

    @property
    def is_cut(self) -> bool:
        """Whether more of the input follows."""
        return self.last < self.view.extent

    @property
    def length(self) -> int:
        """How many coordinates are drawn."""
        return self.last - self.first


def draw_layer(
    layer: Layer, input_shape: Shape, output_shape: Shape, path: PathLikeText | None = None
) -> Figure:
    """Draw a layer with a window: the input with its padding, one window, and the output.

    `layer` is resolved, as `LayerPlan.resolved` is; shapes are (N, C, *L). Of three spatial axes
    the last two are drawn, of long ones the beginning. A transposed layer is drawn as its windows
    see the input: spread by the stride. `path` is a file to write: .svg, .png or .pdf.

    Raises UnsupportedError for a layer that has no windows, or some too long to be read.
    """
    file = check_path(path)
    strips = [_strip(view) for view in axis_views(layer, input_shape, output_shape)]
    with styled():
        sheet = _draw_line(layer, strips[0]) if len(strips) == 1 else _draw_grids(layer, *strips)
        return write(sheet.figure, file)


def _strip(view: AxisView) -> Strip:
    if view.reach > MAX_REACH:
        raise UnsupportedError(
            f"a window of {view.reach} is too long to be read; they are drawn up to {MAX_REACH}",
            field="layer",
        )
    first = min(0, -view.low)
    end = max(view.extent + max(0, view.high), view.taps(view.output - 1)[-1] + 1)
    second = min(1, view.output - 1)
    last = min(end, max(first + MAX_CELLS, view.taps(second)[-1] + 2))
    shown = [o for o in range(min(view.output, MAX_CELLS)) if view.taps(o)[-1] < last]
    sees_half = (o for o in shown[second:] if 2 * len(view.seen(o)) >= view.kernel)
    return Strip(view, first, last, len(shown), next(sees_half, second))


def _draw_grids(layer: Layer, rows: Strip, columns: Strip) -> Sheet:
    """Two axes: the input with the window, an arrow, the output."""
    strips = (rows, columns)
    texts = _texts(layer, strips, ("row", "column"))
    height = max(rows.length, rows.count)
    across = LEFT + columns.length + GAP
    sheet = Sheet(max(across + columns.count + 1, TEXT_CELLS), TOP + height + 3 + 0.8 * len(texts))
    sheet.text(LEFT, 0.9, _described(layer), 10.5, bold=True)
    top, middle = TOP + (height - rows.length) / 2, TOP + (height - rows.count) / 2
    _draw_input(sheet, layer, strips, (top, LEFT))
    for y, x in product(range(rows.count), range(columns.count)):
        is_chosen = (y, x) == (rows.chosen, columns.chosen)
        sheet.cell(across + x, middle + y, "chosen" if is_chosen else "output")
    if (rows.count, columns.count) != (rows.view.output, columns.view.output):
        sheet.text(across + columns.count + 0.2, middle + rows.count / 2, "⋯", 12, GREY)
    sheet.text(across, middle - 0.7, _size_text("output", [strip.view.output for strip in strips]))
    sheet.arrow(
        (LEFT + columns.taps[-1] - columns.first + 1, top + rows.taps[0] - rows.first + 0.5),
        (across + columns.chosen, middle + rows.chosen + 0.5),
    )
    sheet.legend(LEFT, TOP + height + 0.8)
    sheet.lines(LEFT, TOP + height + 2.7, texts)
    return sheet


def _draw_input(
    sheet: Sheet, layer: Layer, strips: tuple[Strip, Strip], corner: tuple[float, float]
) -> None:
    rows, columns = strips
    top, left = corner
    for y, x in product(range(rows.first, rows.last), range(columns.first, columns.last)):
        look, tap = _look(layer, strips, (y, x))
        sheet.cell(left + x - columns.first, top + y - rows.first, look, tap)
    for x in _inputs(columns):
        number = str(x // columns.view.spread)
        sheet.text(left + x - columns.first + 0.5, top - 0.4, number, SMALL, GREY, "center")
    for y in _inputs(rows):
        number = str(y // rows.view.spread)
        sheet.text(left - 0.25, top + y - rows.first + 0.5, number, SMALL, GREY, "right")
    if columns.is_cut:
        sheet.text(left + columns.length + 0.2, top + rows.length / 2, "⋯", 12, GREY)
    if rows.is_cut:
        sheet.text(left + columns.length / 2, top + rows.length + 0.35, "⋮", 12, GREY)
    sheet.text(left, top - 1.2, _size_text("input", [strip.view.size for strip in strips]))


def _draw_line(layer: Layer, strip: Strip) -> Sheet:
    """One axis: every output above the middle of what it sees."""
    view, above, below = strip.view, TOP, TOP + 4.5
    texts = _texts(layer, (strip,), ("element",))
    sheet = Sheet(max(LEFT + strip.length + 2, TEXT_CELLS), below + 5.2 + 0.8 * len(texts))
    sheet.text(LEFT, 0.9, _described(layer), 10.5, bold=True)
    for output in range(strip.count):
        is_chosen = output == strip.chosen
        taps = view.taps(output)
        x = LEFT + (taps[0] + taps[-1]) / 2 - strip.first
        for each in taps:
            end = (LEFT + each - strip.first + 0.5, below)
            sheet.line((x + 0.5, above + 1), end, strong=is_chosen)
        sheet.cell(x, above, "chosen" if is_chosen else "output", str(output))
    for at in range(strip.first, strip.last):
        look, tap = _look(layer, (strip,), (at,))
        sheet.cell(LEFT + at - strip.first, below, look, tap)
    for at in _inputs(strip):
        number = str(at // view.spread)
        sheet.text(LEFT + at - strip.first + 0.5, below + 1.4, number, SMALL, GREY, "center")
    if strip.is_cut:
        sheet.text(LEFT + strip.length + 0.2, below + 0.5, "⋯", 12, GREY)
    sheet.text(LEFT, above - 0.8, _size_text("output", [view.output]))
    sheet.text(LEFT, below + 2.2, _size_text("input", [view.size]))
    sheet.legend(LEFT, below + 3.1)
    sheet.lines(LEFT, below + 5.0, texts)
    return sheet


def _look(layer: Layer, strips: Sequence[Strip], place: Sequence[int]) -> tuple[str, str]:
    """How a coordinate is drawn, and the index of the weight that meets it there, if any."""
    kinds = {strip.view.kind(at) for strip, at in zip(strips, place, strict=True)}
    kind = next(each for each in ("padding", "zero", "input") if each in kinds)
    if not all(at in strip.taps for strip, at in zip(strips, place, strict=True)):
        return kind, ""
    taps = [strip.taps.index(at) for strip, at in zip(strips, place, strict=True)]
    if isinstance(layer, ConvTranspose):  # which turns the kernel round
        taps = [strip.view.kernel - 1 - tap for strip, tap in zip(strips, taps, strict=True)]
    numbers = ",".join(map(str, taps)) if _is_weighted(layer) else ""
    return "seen" if kind == "input" else "unseen", numbers


def _is_weighted(layer: Layer) -> bool:
    return kind_of(layer) in WEIGHTED


def _inputs(strip: Strip) -> Iterator[int]:
    """The coordinates of inputs that are drawn."""
    return (x for x in range(strip.first, strip.last) if strip.view.kind(x) == "input")


def _described(layer: Layer) -> str:
    """The layer's kind and numbers, such as `conv 3 × 3, stride 2`, without what is usual."""
    kernel: tuple[int, ...] = getattr(layer, "kernel_size", ())
    words = [f"{kind_of(layer)} {_times(kernel)}"]
    for name, usual in (("stride", 1), ("padding", (0, 0)), ("output_padding", 0), ("dilation", 1)):
        values = getattr(layer, name, None) or (usual,)
        if set(values) != {usual}:
            words.append(f"{name.replace('_', ' ')} {_times(_short(values))}")
    if len(kernel) > MAX_SHOWN_AXES:
        words.append(f"its last {MAX_SHOWN_AXES} axes")
    return ", ".join(words)


def _short(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of all axes in words; once, where they are equal."""
    words = tuple(map(_word, values))
    return words[:1] if len(set(words)) == 1 else words


def _word(value: int | tuple[int, int]) -> str:
    """A number; of low and high one, where they are equal."""
    if isinstance(value, int):
        return str(value)
    low, high = value
    return str(low) if low == high else f"({low}, {high})"


def _times(values: Sequence[object]) -> str:
    return " × ".join(map(str, values))


def _size_text(what: str, sizes: Sequence[int]) -> str:
    return f"{what} {_times(sizes)}"


def _texts(layer: Layer, strips: Sequence[Strip], names: Sequence[str]) -> list[str]:
    """What the chosen output sees, and the sizes by their formula, per axis or for all."""
    chosen = ", ".join(str(strip.chosen) for strip in strips)
    seen = " and ".join(_seen(strip, name) for strip, name in zip(strips, names, strict=True))
    numbers = " Numbers in its window are those of the weight." if _is_weighted(layer) else ""
    formulas = [strip.view.formula for strip in strips]
    if len(set(formulas)) == 1:
        return [f"Output ({chosen}) sees {seen}.{numbers}", f"Size: {formulas[0]}"]
    sizes = [f"Size in {name}s: {text}" for name, text in zip(names, formulas, strict=True)]
    return [f"Output ({chosen}) sees {seen}.{numbers}", *sizes]


def _seen(strip: Strip, name: str) -> str:
    inputs = strip.view.seen(strip.chosen)
    if len(inputs) < 2:
        return f"{name} {inputs[0]}" if inputs else f"no {name}"
    step = inputs[1] - inputs[0]
    every = f" in steps of {step}" if step > 1 else ""
    return f"{name}s {inputs[0]} to {inputs[-1]}{every}"
