"""What all pictures share: colours, lettering, and how they are written."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convserve.errors import InvalidArgumentError

__all__ = ["Axes", "Figure"]

PathLikeText: TypeAlias = str | PathLike[str]

BLUE, SKY, GREEN, ORANGE, RED, PURPLE = (
    *("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"),
)
INK, GREY, PALE = "#222222", "#767676", "#EDEDED"

TITLE_POINTS = 20  # of the title above the picture: the legend is between them

SUFFIXES = (".svg", ".png", ".pdf")
_UNDATED = {".svg": "Date", ".png": "Software", ".pdf": "CreationDate"}

STYLE: Any = {  # rcParams, whose type lists all their names
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],  # no wider than the first
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "svg.hashsalt": "convserve",  # names in the file are then the same each time
}


def check_path(path: PathLikeText | None) -> Path | None:
    """The path, if a picture can be written there by its name. Raises InvalidArgumentError."""
    if path is None:
        return None
    found = Path(fspath(path))
    if found.suffix.lower() not in SUFFIXES:
        raise InvalidArgumentError(
            f"{found.name!r} is no name for a picture: it ends in {', '.join(SUFFIXES)}",
            field="path",
        )
    return found


def write(figure: Figure, path: Path | None) -> Figure:
    """The figure, written to the path if there is one."""
    if path is not None:
        with mpl.rc_context(STYLE):
            figure.savefig(path, metadata={_UNDATED[path.suffix.lower()]: None})
    return figure


def styled() -> Any:
    """The context in which figures are made."""
    return mpl.rc_context(STYLE)


def legend_above(axes: Axes, handle_length: float) -> None:
    """The legend in a row between the picture and its title."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        borderaxespad=0,
        ncols=6,
        borderpad=0,
        handlelength=handle_length,
        handletextpad=0.5,
        columnspacing=1.3,
    )


def note(
    axes: Axes,
    text: str,
    place: tuple[float, float],
    shift: tuple[float, float],
    coordinates: str | tuple[str, str] = "data",
    **look: Any,
) -> None:
    """A small remark, `shift` points from a place; `look` is Matplotlib's, such as `ha`.

    It takes no room from the picture: a long one would squeeze it.
    """
    remark = axes.annotate(
        text,
        place,
        xycoords=coordinates,
        xytext=shift,
        textcoords="offset points",
        **{"fontsize": 8.5, **look},
    )
    remark.set_in_layout(False)
