"""Two plans side by side: what is equal, what differs, and by how much."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import evolve, fields, frozen

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
            row.read(self.before) != row.read(self.after) for row in _TOTALS
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
    return "same" if _essence(before) == _essence(after) else "changed"


def _essence(plan: LayerPlan) -> tuple[object, ...]:
    """What makes two layers the same. What they read is not in it: names there may have changed."""
    layer = evolve(plan.resolved, name=None, inputs=None)
    counts = (plan.parameter_count, plan.mac_count, plan.activation_bytes, plan.workspace_bytes)
    return plan.name, layer, plan.output, counts, plan.engine, plan.algorithm


@frozen
class _Row:
    """A line of the totals: its name, what a plan has there, and how it is written."""

    name: str
    read: Callable[[Plan], int]
    write: Callable[[int], str]


_TOTALS = (
    _Row("Layers", lambda plan: len(plan.layers), str),
    _Row("Parameters", lambda plan: plan.parameter_count, count_text),
    _Row("MACs", lambda plan: plan.mac_count, count_text),
    _Row("FLOPs", lambda plan: plan.flop_count, count_text),
    _Row("Weights", lambda plan: plan.weight_bytes, byte_text),
    _Row("Peak memory", lambda plan: plan.peak_memory_bytes, byte_text),
)
# heading -> what a layer has there; first those that are shown even where nothing changes there
_ALWAYS: dict[str, Callable[[LayerPlan], str]] = {
    "Layer": lambda layer: layer.name,
    "Kind": kind_text,
    "Output shape": lambda layer: shape_text(layer.output.shape),
}
_TEXTS: dict[str, Callable[[LayerPlan], str]] = {
    "Type": lambda layer: layer.output.dtype,
    "Algorithm": lambda layer: f"{layer.engine} {layer.algorithm}".rstrip(),
}
_NUMBERS: dict[str, Callable[[LayerPlan], str]] = {
    "Parameters": lambda layer: f"{layer.parameter_count:,}",
    "MACs": lambda layer: f"{layer.mac_count:,}",
    "Memory": lambda layer: byte_text(layer.activation_bytes),
    "Workspace": lambda layer: byte_text(layer.workspace_bytes),
}
# fields that the kind's text or the output's shape tell already
_TOLD = {"name", "inputs", "kernel_size", "stride", "dilation", "groups"}
_TOLD |= {"out_channels", "out_features"}


def _layer_columns(differences: Sequence[LayerDifference]) -> list[Column]:
    def columns(reads: dict[str, Callable[[LayerPlan], str]], is_number: bool) -> list[Column]:
        return [
            Column(heading, tuple(_both(each, read) for each in differences), is_number)
            for heading, read in reads.items()
        ]

    others = [
        *columns(_NUMBERS, True),
        *columns(_TEXTS, False),
        Column("Settings", tuple(map(_settings, differences))),
    ]
    return [
        Column("", tuple(each.change for each in differences)),
        *columns(_ALWAYS, False),
        *(each for each in others if _changes(each)),
    ]


def _changes(column: Column) -> bool:
    return any(_ARROW in cell for cell in column.cells)


def _both(difference: LayerDifference, read: Callable[[LayerPlan], str]) -> str:
    """What it was and what it is; once, where that is the same or there is only one."""
    sides = (each for each in (difference.before, difference.after) if each is not None)
    return _ARROW.join(dict.fromkeys(map(read, sides)))


def _settings(difference: LayerDifference) -> str:
    """The fields that differ, of those that no other column tells: `padding (1, 1) → (2, 2)`."""
    if difference.before is None or difference.after is None:
        return ""
    old, new = difference.before.resolved, difference.after.resolved
    if type(old) is not type(new):
        return ""
    names = (each.name for each in fields(type(old)) if each.name not in _TOLD)
    return ", ".join(
        f"{name} {getattr(old, name)}{_ARROW}{getattr(new, name)}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    )


def _total_columns(comparison: PlanComparison) -> list[Column]:
    before = [row.read(comparison.before) for row in _TOTALS]
    after = [row.read(comparison.after) for row in _TOTALS]
    pairs = list(zip(before, after, strict=True))
    return [
        Column("", tuple(row.name for row in _TOTALS)),
        Column("before", _written(before), True),
        Column("after", _written(after), True),
        Column("difference", tuple(f"{new - old:+,}" for old, new in pairs), True),
        Column("ratio", tuple(f"{new / old:.3g}" if old else "" for old, new in pairs), True),
    ]


def _written(totals: Sequence[int]) -> tuple[str, ...]:
    return tuple(row.write(total) for row, total in zip(_TOTALS, totals, strict=True))
