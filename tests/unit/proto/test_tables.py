from fractions import Fraction

import pytest
from attrs import evolve
from convserve.layers import Add, Conv, Dense
from convserve.plans import LayerPlan, Plan, ReceptiveField
from convserve.servers import Device, Limits, ServerInfo
from convserve.tables import (
    Column,
    byte_text,
    count_text,
    devices_table,
    info_text,
    plan_table,
)
from convserve.tensors import TensorSpec

SIGHT = ReceptiveField((3, 5), (Fraction(2), Fraction(1, 2)), (Fraction(-1), Fraction(-2)))
INPUT = TensorSpec("input", "float32", (4, 3, 32, 32))


def layer_plan(resolved, inputs, shape, **numbers) -> LayerPlan:
    kind = type(resolved).__name__.lower()
    output = TensorSpec(resolved.name, "float32", shape)
    return LayerPlan(
        name=resolved.name,
        kind=kind,
        inputs=inputs,
        output=output,
        resolved=resolved,
        activation_bytes=abs(output.byte_count),
        engine="cpu",
        **numbers,
    )


CONV = layer_plan(
    Conv(8, (3, 5), (2, 1), dilation=(2, 2), groups=4, name="conv1"),
    ("input",),
    (4, 8, 16, 32),
    parameter_count=98,
    mac_count=1_474_560,
    receptive_field=SIGHT,
    algorithm="direct",
    algorithm_reason="few channels",
    explanation=("L' = 16",),
)
SECOND = evolve(CONV, name="the_name_of_this_layer_is_too_long_to_show", inputs=("conv1",))
ADD = layer_plan(Add(name="add1"), ("conv1", SECOND.name), (4, 8, 16, 32))
DENSE = layer_plan(Dense(10, name="dense1"), ("add1",), (4, 10), parameter_count=40_970)
PLAN = Plan(
    inputs=(INPUT,),
    outputs=(DENSE.output,),
    layers=(CONV, SECOND, ADD, DENSE),
    parameter_count=41_166,
    mac_count=2_949_120,
    flop_count=999,
    weight_bytes=164_664,
    peak_memory_bytes=361_272,
    peak_memory_fixed_bytes=164_664,
    peak_memory_per_sample_bytes=49_152,
    peak_layer="add1",
    receptive_field=SIGHT,
    device="cpu",
    notes=("workspace is estimated",),
)

TABLE = """\
Layer                           Kind                       Reads     Output shape    Parameters    MACs  Receptive field    Memory  Algorithm
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
input                           input                                (4, 3, 32, 32)                                       48.0 KiB
conv1                           conv 3×5 /2×1 dil 2 grp 4            (4, 8, 16, 32)          98  1.47 M              3×5  64.0 KiB  direct
the_name_of_this_layer_is_too…  conv 3×5 /2×1 dil 2 grp 4            (4, 8, 16, 32)          98  1.47 M              3×5  64.0 KiB  direct
add1                            add                        conv1, ↑  (4, 8, 16, 32)                                       64.0 KiB
dense1                          dense                                (4, 10)             40,970                              160 B
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
Parameters       41,166
MACs             2,949,120 (2.95 M)
FLOPs            999
Weights          164,664 bytes (161 KiB)
Peak memory      361,272 bytes (353 KiB), at add1
Input            input (4, 3, 32, 32) float32, 49,152 bytes (48.0 KiB)
Output           dense1 (4, 10) float32, 160 bytes
Receptive field  3×5, from -1×-2 in steps of 2×1/2
Device           cpu
Note             workspace is estimated"""  # noqa: E501  # as wide as it is


def test_a_table() -> None:
    assert str(PLAN) == plan_table(PLAN) == TABLE


def test_an_unknown_batch_is_n_and_memory_is_a_formula() -> None:
    inputs = (evolve(INPUT, shape=(-1, 3, 32, 32)),)
    table = plan_table(evolve(PLAN, inputs=inputs, symbolic_batch=True))
    assert "(N, 3, 32, 32)" in table
    assert "Memory (N = 1)" in table
    assert "2,949,120 (2.95 M) per sample" in table
    assert "164,664 + N × 49,152 bytes (353 KiB for N = 1), at add1" in table
    assert "float32, 12,288 bytes (12.0 KiB) per sample" in table


def test_columns_without_cells_are_left_out() -> None:
    heading = plan_table(evolve(PLAN, layers=(DENSE,), inputs=(evolve(INPUT, name="add1"),)))
    assert "Reads" not in heading
    assert "MACs  " not in heading.splitlines()[0]
    assert "Receptive field" not in heading.splitlines()[0]


def test_a_field_that_covers_everything_has_no_steps() -> None:
    sight = evolve(SIGHT, jump=(Fraction(0), Fraction(0)))
    assert "in steps" not in plan_table(evolve(PLAN, receptive_field=sight))


class MeasuredCell(str):
    """A cell that counts how often its length is asked for."""

    __slots__ = ()
    asked = 0

    def __len__(self) -> int:
        MeasuredCell.asked += 1
        return super().__len__()


def test_every_cell_is_measured_once() -> None:
    cells = tuple(MeasuredCell(number) for number in range(200))
    lines = Column("Layer", cells).lines()
    assert (lines[-1], MeasuredCell.asked) == ("199  ", 200)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.00 KiB"),
        (10 * 1024, "10.0 KiB"),
        (588 * 1024, "588 KiB"),
        (1 << 30, "1.00 GiB"),
        (1 << 70, "1,024 EiB"),
    ],
)
def test_bytes(count, text) -> None:
    assert byte_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (1000, "1.00 k"), (714_188_480, "714 M")]
)
def test_counts(count, text) -> None:
    assert count_text(count) == text


def test_a_server() -> None:
    device = Device(name="cpu", engine="cpu", description="a processor", memory_bytes=1 << 33)
    limits = Limits(
        max_inline_bytes=1 << 20,
        max_message_bytes=8 << 20,
        chunk_bytes=1 << 20,
        tensor_pool_bytes=1 << 33,
        max_rank=32,
        max_layers=4096,
        max_call_seconds=600.0,
        worker_memory_bytes=1 << 32,
        max_request_bytes=2 << 20,
        max_tensors=16384,
        max_inputs=1024,
    )
    info = ServerInfo(version="1.2", engines=("cpu",), devices=(device,), limits=limits)
    text = info_text(info)
    assert "Tensor pool          8,589,934,592 bytes (8.00 GiB)" in text
    assert text.endswith(devices_table([device]))
    assert "Threads" not in devices_table([device])
