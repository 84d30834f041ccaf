"""The picture of a plan: memory, shapes and receptive fields, one below the other."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.layout_engine import ConstrainedLayoutEngine

from convserve.errors import InvalidArgumentError, UnsupportedError
from convserve.pictures.growth import draw_fields, draw_shapes, has_fields
from convserve.pictures.labels import MAX_CHARACTERS
from convserve.pictures.memory import draw_memory
from convserve.pictures.style import Axes, Figure, PathLikeText, check_path, styled, write
from convserve.plans import Plan

MIN_INCHES, MAX_INCHES, INCHES_PER_STEP = 7.0, 15.0, 0.16
PANEL_INCHES, INCHES_PER_CHARACTER = 2.8, 0.05  # of the height, without names and for them
MARGIN_INCHES = 1.0  # of the width, for numbers and lettering
VIEWS = ("memory", "shapes", "fields")


def draw_plan(
    plan: Plan, path: PathLikeText | None = None, *, views: tuple[str, ...] = VIEWS
) -> Figure:
    """Draw the plan's memory timeline, its shapes, and the growth of its receptive field.

    `views` are those to draw, of "memory", "shapes" and "fields"; one of which the plan has nothing
    is left out. `path` is a file to write: .svg, .png or .pdf. Raises InvalidArgumentError for
    another name, UnsupportedError where nothing is left to draw.
    """
    file = check_path(path)
    _check_views(views)
    panels = _panels(plan, views)
    if not panels:
        raise UnsupportedError(
            f"this plan has nothing of {', '.join(views)} to draw", field="views"
        )
    steps = max(len(plan.timeline) if "memory" in views else 0, len(plan.layers))
    width = min(MAX_INCHES, max(MIN_INCHES, MARGIN_INCHES + INCHES_PER_STEP * steps))
    height = len(panels) * (PANEL_INCHES + INCHES_PER_CHARACTER * _longest_label(plan))
    with styled():
        layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.08)
        figure = Figure(figsize=(width, height), layout=layout)
        for axes, draw in zip(
            figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
        ):
            draw(axes, plan, width - MARGIN_INCHES)
        return write(figure, file)


def _check_views(views: tuple[str, ...]) -> None:
    unknown = [view for view in views if view not in VIEWS]
    if unknown:
        raise InvalidArgumentError(
            f"{', '.join(map(repr, unknown))}: the views are {', '.join(VIEWS)}", field="views"
        )


def _longest_label(plan: Plan) -> int:
    """Characters of the longest name below a picture."""
    names = (*(layer.name for layer in plan.layers), *(moment.layer for moment in plan.timeline))
    return min(MAX_CHARACTERS, max(map(len, names)))


def _panels(plan: Plan, views: tuple[str, ...]) -> list[Callable[[Axes, Plan, float], None]]:
    there = {
        "memory": (bool(plan.timeline), draw_memory),
        "shapes": (bool(plan.layers), draw_shapes),
        "fields": (has_fields(plan), draw_fields),
    }
    return [draw for view, (is_there, draw) in there.items() if is_there and view in views]
