"""The picture of a plan: what is drawn, and that equal plans give equal files."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from attrs import evolve
from convserve.errors import InvalidArgumentError, UnsupportedError
from convserve.layers import Conv, Dense, Flatten, MaxPool, ReLU
from convserve.pictures.labels import MAX_CHARACTERS, choose, shorten
from convserve.plans import Fit, MemoryMoment, Plan

from tests.planning import plan

MIB = 1 << 20
LAYERS = [
    Conv(8, 3, padding=1),
    ReLU(),
    MaxPool(2),
    Conv(16, (3, 5), padding=(1, 2), stride=(1, 2)),
    Flatten(),
    Dense(10),
]


def moment(layer: str, activations: int, phase: str = "forward", **others: int) -> MemoryMoment:
    return MemoryMoment(
        layer=layer, phase=phase, weight_bytes=4 * MIB, activation_bytes=activations * MIB, **others
    )


def planned(*timeline: MemoryMoment, **fields: object) -> Plan:
    """A plan with this timeline."""
    return evolve(plan(LAYERS, (1, 3, 16, 16)), timeline=timeline, **fields)


TIMELINE = (
    moment("conv1", 3),
    moment("relu1", 5),
    moment("max_pool1", 6, workspace_bytes=2 * MIB),
    moment("conv2", 2),
    moment("flatten1", 1),
    moment("dense1", 1),
)


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def steps_of(axes, label):
    """The heights of the line of that name, a stretch after the other."""
    lines = [patch for patch in axes.patches if patch.get_label() == label]
    follow = axes.patches.index(lines[0]) + 1
    while follow < len(axes.patches) and axes.patches[follow].get_label() == "_nolegend_":
        lines.append(axes.patches[follow])
        follow += 1
    return [float(value) for line in lines for value in line.get_data().values]


def test_views_that_there_are_not_are_refused():
    with pytest.raises(InvalidArgumentError, match="'memroy': the views are memory, ") as caught:
        planned(*TIMELINE).plot(views=("memroy", "shapes"))
    assert caught.value.field == "views"


def test_three_views_of_a_plan():
    figure = planned(*TIMELINE).plot()
    assert titles(figure) == [
        "Memory of inference",
        "Shapes through the network",
        "Receptive field (input 16 × 16)",
    ]


def test_a_view_that_the_plan_does_not_have_is_left_out():
    assert titles(planned().plot(views=("memory", "shapes"))) == ["Shapes through the network"]
    assert titles(planned(*TIMELINE).plot(views=("memory",))) == ["Memory of inference"]
    with pytest.raises(UnsupportedError, match="nothing of memory to draw"):
        planned().plot(views=("memory",))


def test_memory_is_a_stack_of_its_parts():
    [memory] = planned(*TIMELINE).plot(views=("memory",)).axes
    assert [each.get_label() for each in memory.collections] == [
        "weights",
        "activations",
        "workspace",
    ]
    heights = [each.get_paths()[0].vertices[:, 1].max() for each in memory.collections]
    assert heights == [4, 10, 12]  # MiB
    assert memory.get_ylabel() == "MiB"
    assert texts(memory) == ["peak 12.0 MiB at max_pool1"]


def test_the_device_is_a_line_if_it_is_near():
    fit = Fit(device="l4", memory_bytes=20 * MIB, needed_bytes=12 * MIB, fits=True)
    [near] = planned(*TIMELINE, fit=fit).plot(views=("memory",)).axes
    assert "l4: 20.0 MiB" in texts(near)
    assert near.lines[0].get_ydata()[0] == 20
    far = evolve(fit, memory_bytes=24 << 30)
    [memory] = planned(*TIMELINE, fit=far).plot(views=("memory",)).axes
    assert "l4 has 24.0 GiB" in texts(memory)
    assert memory.get_ylim()[1] < 20


def test_training_names_its_phases():
    timeline = (
        *TIMELINE,
        moment("dense1", 7, "backward", gradient_bytes=MIB),
        moment("conv1", 4, "backward", gradient_bytes=4 * MIB),
        moment("update", 0, "update", gradient_bytes=4 * MIB, optimizer_bytes=8 * MIB),
    )
    drawn = planned(*timeline, training=True, optimizer="adam").plot(views=("memory",))
    [memory] = drawn.axes
    assert titles(drawn) == ["Memory of training with adam"]
    assert {"forward", "backward", "update", "peak 16.0 MiB at update, update"} <= {*texts(memory)}


def test_shapes_and_fields_are_the_plan_s():
    shapes, fields = planned().plot().axes
    assert steps_of(shapes, "channels") == [8, 8, 8, 16, 1 * 16 * 8 * 4, 10]
    assert steps_of(shapes, "size of each axis, axis 1") == [16, 16, 8, 8]
    assert steps_of(shapes, "axis 2") == [16, 16, 8, 4]
    assert steps_of(fields, "receptive field, axis 1")[:4] == [3, 3, 4, 8]
    assert steps_of(fields, "axis 2")[:4] == [3, 3, 4, 12]
    assert [line.get_ydata()[0] for line in fields.lines] == [16]
    assert fields.lines[0].get_label() == "input"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_equal_plans_give_equal_files(tmp_path, suffix):
    files = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for file in files:
        planned(*TIMELINE).plot(file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 1000


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"'out\.gif' is no name for a picture"):
        planned(*TIMELINE).plot(tmp_path / "out.gif")
    assert not any(tmp_path.iterdir())


def test_labels_are_as_many_as_have_room():
    assert choose(5, [3], 10) == [0, 1, 2, 3, 4]
    chosen = choose(1000, [437, 438, 5], 20)
    assert {437, 5} <= set(chosen)
    assert len(chosen) <= 20
    gaps = [after - before for before, after in pairwise(chosen)]
    assert min(gaps) >= 50


def test_a_long_name_is_shown_by_its_end():
    [plain, shown] = shorten(["conv1", "features.denseblock4.denselayer16.conv2"])
    assert (plain, shown) == ("conv1", "…k4.denselayer16.conv2")
    assert len(shown) == MAX_CHARACTERS


def onnx_name(layer: int, block: int) -> str:
    """A layer's name as the ONNX exporter of PyTorch writes it."""
    return f"backbone/layers/layers.{layer}/blocks/blocks.{block}/mixer/depthwise_conv/Conv"


def test_long_names_that_end_alike_stay_different():
    names = [onnx_name(layer, block) for layer in range(3) for block in range(12)]
    shown = shorten([*names, "head/Conv"])
    assert shown[-1] == "head/Conv"
    assert shown[13] == "1…1…epthwise_conv/Conv"
    assert len({*shown}) == len(shown)
    assert {len(label) for label in shown[:-1]} == {MAX_CHARACTERS}


def test_names_whose_differences_are_too_long_have_numbers():
    assert shorten([f"{letter}{'n' * 119}" for letter in "ab"])[1] == f"b{'n' * 14}…nnnnnn"
    names = [f"{'n' * 60}{letter}{'n' * 59}" for letter in "ab"]
    assert shorten([names[0], *names]) == ["#1…" + "n" * 19, "#1…" + "n" * 19, "#2…" + "n" * 19]
    other = [f"a.{'n' * 60}", f"a.b.{'n' * 60}"]  # of another number of parts
    assert len({*shorten(other)}) == 2


def inside(figure) -> bool:
    """Whether all that is written is on the page."""
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    boxes += [axes.get_legend().get_window_extent() for axes in figure.axes]
    page = figure.bbox
    return all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in boxes)


@pytest.mark.parametrize("step", [0, 2, 3, 5])
def test_long_names_take_no_room_from_the_picture(step):
    names = [f"{onnx_name(1, number)}{'o' * 45}" for number in range(len(LAYERS))]
    network = [evolve(layer, name=name) for layer, name in zip(LAYERS, names, strict=True)]
    timeline = [moment(name, 9 if n == step else 1) for n, name in enumerate(names)]
    figure = evolve(plan(network, (1, 3, 16, 16)), timeline=tuple(timeline)).plot()
    assert inside(figure)
    [remark] = texts(figure.axes[0])
    assert f"{step}…" in remark
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.width > 0.75 * figure.bbox.width
        assert box.height > 0.4 * figure.bbox.height / len(figure.axes)


def test_legends_of_three_axes_fit():
    layers = [Conv(8, (3, 5, 7), padding=1, stride=(1, 2, 3)), Conv(8, 3)]
    assert inside(plan(layers, (1, 3, 112, 114, 100)).plot())


def test_without_matplotlib_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from convserve.errors import UnsupportedError\n"
        "from convserve.plans import Plan\n"
        "try:\n    Plan(inputs=(), outputs=(), layers=()).plot()\n"
        "except UnsupportedError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'convserve-client[plots]'" in run.stdout
