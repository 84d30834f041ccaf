"""Two plans side by side: what is equal, what differs, and by how much."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from convserve.plans import LayerPlan, Plan
from convserve.tables import Column, byte_text, count_text, kind_text, shape_text, table_text

_ARROW = " → "


@frozen(kw_only=True)
class LayerDifference:
    """A layer of either plan, or the same layer of both.

    `change` is same, changed, added or removed; `before` is its plan in the older one of the two,
    `after` in the newer one, None where it is not there.
    """

    change: str
    before: LayerPlan | None
    after: LayerPlan | None

    @property
    def name(self) -> str:
        """Its name, or both where a layer was renamed."""
        names = dict.fromkeys(each.name for each in (self.before, self.after) if each)
        return _ARROW.join(names)


@frozen(kw_only=True)
class PlanComparison:
    """What changes from one plan, `before`, to another, `after`. `print` shows the table.

    Layers are matched by name, and what is left by position where the kind is the same.
    """

    before: Plan
    after: Plan
    layers: tuple[LayerDifference, ...]

    @property
    def is_same(self) -> bool:
        """Whether no layer and no total differs."""
        return all(each.change == "same" for each in self.layers) and not any(
            read(self.before) != read(self.after) for _, read, _ in _TOTALS
        )

    def __str__(self) -> str:
        return comparison_table(self)


def compare_plans(before: Plan, after: Plan) -> PlanComparison:
    """The differences from one plan to another, in the order in which the layers run."""
    layers = tuple(
        LayerDifference(change=_change(old, new), before=old, after=new)
        for old, new in _pairs(before.layers, after.layers)
    )
    return PlanComparison(before=before, after=after, layers=layers)


def comparison_table(comparison: PlanComparison) -> str:
    """The layers that differ, and the totals of both plans."""
    different = [each for each in comparison.layers if each.change != "same"]
    count = len(comparison.layers) - len(different)
    same = f"{count} {'layer is' if count == 1 else 'layers are'} the same"
    totals = table_text(_total_columns(comparison))
    if not different:
        return f"{same}\n\n{totals}"
    return f"{table_text(_layer_columns(different))}\n{same}\n\n{totals}"


def _pairs(
    before: Sequence[LayerPlan], after: Sequence[LayerPlan]
) -> Iterator[tuple[LayerPlan | None, LayerPlan | None]]:
    """Each layer with its counterpart; one that is gone comes behind the one it was behind."""
    counterparts = _counterparts(before, after)
    kept = {each.name for each in counterparts.values()}
    gone: dict[str, list[LayerPlan]] = {"": []}
    last = ""
    for each in before:
        if each.name in kept:
            last = each.name
        else:
            gone.setdefault(last, []).append(each)
    yield from ((each, None) for each in gone[""])
    for each in after:
        counterpart = counterparts.get(each.name)
        yield counterpart, each
        if counterpart is not None:
            yield from ((lost, None) for lost in gone.get(counterpart.name, ()))


def _counterparts(before: Sequence[LayerPlan], after: Sequence[LayerPlan]) -> dict[str, LayerPlan]:
    """The old layer of each new one's name; without one, the next of its kind that is left."""
    old = {each.name: each for each in before}
    new = {each.name for each in after}
    left: dict[str, deque[LayerPlan]] = {}
    for each in before:
        if each.name not in new:
            left.setdefault(each.kind, deque()).append(each)
    found: dict[str, LayerPlan] = {}
    for each in after:
        if each.name in old:
            found[each.name] = old[each.name]
        elif left.get(each.kind):
            found[each.name] = left[each.kind].popleft()
    return found


def _change(before: LayerPlan | None, after: LayerPlan | None) -> str:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    is_same = all(read(before) == read(after) for _, read, _ in _COLUMNS)
    return "same" if is_same and before.output == after.output else "changed"


# heading, what a layer has there, and whether it is a number
_COLUMNS: tuple[tuple[str, Callable[[LayerPlan], str], bool], ...] = (
    ("Layer", lambda layer: layer.name, False),
    ("Kind", kind_text, False),
    ("Output shape", lambda layer: shape_text(layer.output.shape), False),
    ("Parameters", lambda layer: f"{layer.parameter_count:,}", True),
    ("MACs", lambda layer: f"{layer.mac_count:,}", True),
    ("Memory", lambda layer: byte_text(layer.activation_bytes), True),
    ("Workspace", lambda layer: byte_text(layer.workspace_bytes), True),
    ("Algorithm", lambda layer: layer.algorithm, False),
)
_SHOWN = ("Layer", "Kind", "Output shape")  # also where nothing changes there
# name, what a plan has there, and how it is written
_TOTALS: tuple[tuple[str, Callable[[Plan], int], Callable[[int], str]], ...] = (
    ("Layers", lambda plan: len(plan.layers), str),
    ("Parameters", lambda plan: plan.parameter_count, count_text),
    ("MACs", lambda plan: plan.mac_count, count_text),
    ("FLOPs", lambda plan: plan.flop_count, count_text),
    ("Weights", lambda plan: plan.weight_bytes, byte_text),
    ("Peak memory", lambda plan: plan.peak_memory_bytes, byte_text),
)


def _layer_columns(differences: Sequence[LayerDifference]) -> list[Column]:
    changes = Column("", tuple(each.change for each in differences))
    columns = [
        Column(heading, tuple(_both(each, read) for each in differences), is_number)
        for heading, read, is_number in _COLUMNS
    ]
    return [changes, *(each for each in columns if each.heading in _SHOWN or _changes(each))]


def _changes(column: Column) -> bool:
    return any(_ARROW in cell for cell in column.cells)


def _both(difference: LayerDifference, read: Callable[[LayerPlan], str]) -> str:
    """What it was and what it is; once, where that is the same or there is only one."""
    sides = (each for each in (difference.before, difference.after) if each is not None)
    return _ARROW.join(dict.fromkeys(map(read, sides)))


def _total_columns(comparison: PlanComparison) -> list[Column]:
    sides = [
        [read(plan) for _, read, _ in _TOTALS] for plan in (comparison.before, comparison.after)
    ]
    writes = [write for _, _, write in _TOTALS]
    pairs = list(zip(*sides, strict=True))
    return [
        Column("", tuple(name for name, _, _ in _TOTALS)),
        *(
            Column(
                heading, tuple(write(each) for write, each in zip(writes, side, strict=True)), True
            )
            for heading, side in zip(("before", "after"), sides, strict=True)
        ),
        Column("difference", tuple(f"{new - old:+,}" for old, new in pairs), True),
        Column("ratio", tuple(f"{new / old:.3g}" if old else "" for old, new in pairs), True),
    ]
