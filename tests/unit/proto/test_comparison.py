"""Two plans side by side."""

from __future__ import annotations

from attrs import evolve
from convserve.layers import BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU

from tests.planning import plan

SHAPE = (1, 3, 32, 32)
OLD = [
    Conv(8, 3, padding=1, name="first"),
    ReLU(),
    MaxPool(2),
    Conv(4, 3, name="x"),
    GlobalAvgPool(),
    Flatten(),
    Dense(10),
]
NEW = [
    Conv(16, 3, padding=1, name="first"),
    BatchNorm(),
    ReLU(),
    Conv(4, 3, name="y"),
    GlobalAvgPool(),
    Flatten(),
    Dense(10),
]


def changes(comparison):
    return [(each.change, each.name) for each in comparison.layers]


def test_a_plan_is_the_same_as_itself():
    comparison = plan(OLD, SHAPE).compare(plan(OLD, SHAPE))
    assert comparison.is_same
    assert {each.change for each in comparison.layers} == {"same"}
    assert str(comparison).startswith("7 layers are the same\n")


def test_layers_are_matched_by_name_and_then_by_kind():
    comparison = plan(NEW, SHAPE).compare(plan(OLD, SHAPE))
    assert not comparison.is_same
    assert changes(comparison) == [
        ("changed", "first"),
        ("added", "batch_norm1"),
        ("changed", "relu1"),
        ("removed", "max_pool1"),
        ("changed", "x → y"),
        ("same", "global_avg_pool1"),
        ("same", "flatten1"),
        ("same", "dense1"),
    ]


def test_both_sides_are_kept():
    old, new = plan(OLD, SHAPE), plan(NEW, SHAPE)
    comparison = new.compare(old)
    assert (comparison.before, comparison.after) == (old, new)
    added, removed = comparison.layers[1], comparison.layers[3]
    assert (added.before, added.after) == (None, new.layer("batch_norm1"))
    assert (removed.before, removed.after) == (old.layer("max_pool1"), None)


def test_the_table_shows_what_differs():
    text = str(plan(NEW, SHAPE).compare(plan(OLD, SHAPE)))
    lines = text.splitlines()
    first = next(line for line in lines if line.startswith("changed  first"))
    assert "(1, 8, 32, 32) → (1, 16, 32, 32)" in first
    assert "224 → 448" in first
    assert "dense1" not in text
    assert "Algorithm" not in text  # the same everywhere
    assert "3 layers are the same" in lines
    parameters = next(line for line in lines if line.startswith("Parameters"))
    assert parameters.split() == ["Parameters", "566", "1.11", "k", "+544", "1.96"]


def test_first_and_last_layers_that_are_gone():
    old = [ReLU(name="a"), Conv(3, 1, name="b"), ReLU(name="c")]
    comparison = plan([Conv(3, 1, name="b")], SHAPE).compare(plan(old, SHAPE))
    assert changes(comparison) == [("removed", "a"), ("same", "b"), ("removed", "c")]
    assert str(comparison).count("removed") == 2


def test_another_input_changes_the_totals_alone():
    comparison = plan([Dense(4)], (1, 8)).compare(plan([Dense(4)], (2, 8)))
    assert [each.change for each in comparison.layers] == ["changed"]
    assert "MACs" in str(comparison)


def test_settings_that_no_shape_tells_are_a_change_too():
    old, new = (plan([Conv(4, 3, 2, padding=pair)], SHAPE) for pair in (((1, 0),), ((0, 1),)))
    comparison = new.compare(old)
    assert [each.change for each in comparison.layers] == ["changed"]
    assert not comparison.is_same
    assert "padding ((1, 0), (1, 0)) → ((0, 1), (0, 1))" in str(comparison)


def test_a_byte_more_is_a_change():
    old = plan([ReLU()], SHAPE)
    more = evolve(old.layers[0], workspace_bytes=old.layers[0].workspace_bytes + 1)
    comparison = evolve(old, layers=(more,)).compare(old)
    assert [each.change for each in comparison.layers] == ["changed"]
