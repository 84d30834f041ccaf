"""The kernels of a plan for a GPU as people read them: plain text, aligned, without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from attrs import frozen

from convserve.plans import Kernel, LayerPlan, Plan
from convserve.tables import Column, table_text


@frozen
class _Row:
    """What is taken for one direction of a layer, or that nothing is."""

    layer: str
    direction: str
    kernels: tuple[Kernel, ...]

    @property
    def chosen(self) -> Kernel | None:
        return next((kernel for kernel in self.kernels if kernel.chosen), None)

    @property
    def place(self) -> str:
        count = len(self.kernels)
        return f"{self.chosen.rank + 1} of {count}" if self.chosen else f"none of {count}"

    @property
    def objections(self) -> str:
        """Why those ranked above it were rejected, each reason with its number."""
        above = self.kernels[: self.chosen.rank] if self.chosen else self.kernels
        counts = Counter(kernel.rejected_because for kernel in above)
        return ", ".join(f"{count} × {reason}" for reason, count in counts.most_common())


def kernels_text(plan: Plan) -> str:
    """What runs each layer in each direction, and why no kernel that is ranked above it.

    Empty if the plan has no kernels.
    """
    rows = [row for layer in plan.layers for row in _rows(layer)]
    if not rows:
        return ""
    chosen = [row.chosen for row in rows]
    return _table(
        Column("Layer", tuple(row.layer for row in rows)),
        Column("Direction", tuple(row.direction for row in rows)),
        Column("Kernel", tuple(kernel.name if kernel else "" for kernel in chosen)),
        Column("Rank", tuple(row.place for row in rows), True),
        Column("Workspace", tuple(_bytes(kernel) for kernel in chosen), True),
        Column("Notes", tuple(_notes(kernel) for kernel in chosen)),
        Column("Rejected above it", tuple(row.objections for row in rows)),
    )


def kernels_table(layer: LayerPlan) -> str:
    """Every kernel that the GPU's library offers for a layer, best first, and why it is not taken.

    Empty if the plan has none.
    """
    if not layer.kernels:
        return ""
    return _table(
        Column("Direction", tuple(kernel.direction for kernel in layer.kernels)),
        Column("Rank", tuple(str(kernel.rank + 1) for kernel in layer.kernels), True),
        Column("Kernel", tuple(kernel.name for kernel in layer.kernels)),
        Column("Workspace", tuple(map(_bytes, layer.kernels)), True),
        Column("Notes", tuple(map(_notes, layer.kernels))),
        Column(
            "Verdict",
            tuple("chosen" if k.chosen else k.rejected_because for k in layer.kernels),
        ),
    )


def _rows(layer: LayerPlan) -> Iterator[_Row]:
    """One for each direction; a layer of several convolutions begins again at rank 0."""
    begins = [n for n, kernel in enumerate(layer.kernels) if kernel.rank == 0]
    for begin, end in pairwise([*begins, len(layer.kernels)]):
        yield _Row(layer.name, layer.kernels[begin].direction, layer.kernels[begin:end])


def _bytes(kernel: Kernel | None) -> str:
    return f"{kernel.workspace_bytes:,} bytes" if kernel else ""


def _notes(kernel: Kernel | None) -> str:
    return ", ".join(kernel.notes) if kernel else ""


def _table(*columns: Column) -> str:
    return table_text([column for column in columns if not column.is_empty])
