"""A sheet to draw on in cells: squares, arrows and lettering at exact places."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.patches import FancyArrowPatch, Rectangle

from convserve.pictures.style import GREY, INK, ORANGE, RED, Figure

CELL_INCHES = 0.3
SMALL, NORMAL = 6.5, 9.0
# what a cell holds -> its colour, the hatching, and its name in the legend
LOOKS = {
    "input": ("#CFE3F3", "", "input"),
    "zero": ("#FFFFFF", "", "zero between inputs"),
    "padding": ("#FFFFFF", "///", "padding"),
    "seen": (ORANGE, "", "input that it sees"),
    "unseen": ("#FBE3B0", "///", "no input there"),
    "output": ("#E4E4E4", "", "output"),
    "chosen": (RED, "", "the chosen output"),
}


class Sheet:
    """Axes whose unit is a cell, from the top left corner, on a figure of just that size."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width * CELL_INCHES, height * CELL_INCHES))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        self._used: dict[str, None] = {}

    def cell(self, x: float, y: float, look: str, text: str = "") -> None:
        """A cell with its corner there, and perhaps something written in it."""
        colour, hatch, _ = LOOKS[look]
        self._used[look] = None
        self.axes.add_patch(
            Rectangle(
                (x + 0.03, y + 0.03),
                0.94,
                0.94,
                facecolor=colour,
                hatch=hatch or None,
                edgecolor="#B0B0B0" if hatch else GREY,
                linewidth=0.6,
            )
        )
        if text:
            self.text(x + 0.5, y + 0.5, text, SMALL, INK, "center")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = NORMAL,
        colour: str = INK,
        align: str = "left",
        *,
        bold: bool = False,
    ) -> None:
        """Lettering whose middle line is there."""
        self.axes.text(
            x,
            y,
            text,
            fontsize=size,
            color=colour,
            ha=align,
            va="center",
            fontweight="bold" if bold else "normal",
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], *, strong: bool) -> None:
        """A line behind the cells."""
        self.axes.plot(
            *zip(start, end, strict=True),
            color=RED if strong else "#CCCCCC",
            linewidth=1.6 if strong else 0.6,
            zorder=0.9 if strong else 0.8,
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """An arrow over the cells."""
        self.axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=11,
                color=RED,
                linewidth=1.4,
                shrinkA=1,
                shrinkB=2,
                zorder=4,
            )
        )

    def legend(self, x: float, y: float) -> None:
        """What the cells that were drawn mean, in a row."""
        for look in (each for each in LOOKS if each in self._used):
            self.cell(x, y, look)
            name = LOOKS[look][2]
            self.text(x + 1.25, y + 0.5, name, NORMAL - 1)
            x += 2.1 + 0.18 * len(name)

    def lines(self, x: float, y: float, texts: Iterable[str]) -> None:
        """Lines of lettering, one below the other."""
        for number, text in enumerate(texts):
            self.text(x, y + 0.8 * number, text)
