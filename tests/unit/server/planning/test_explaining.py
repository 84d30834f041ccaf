"""One layer explained: what it does, what it is elsewhere, and what would make it possible."""

from __future__ import annotations

import pytest
from convserve.errors import (
    DTypeError,
    FailedPreconditionError,
    InvalidArgumentError,
    InvalidLayerError,
    ShapeError,
)
from convserve.layers import Add, Conv, ConvTranspose, PixelShuffle, ReLU
from convserve.tensors import TensorSpec
from convserve_server.planning.explaining import explain_layer

from tests.planning import FixedAdvisor, plan


def explain(subject, *shapes, dtype="float32", **options):
    specs = [TensorSpec("", dtype, shape) for shape in shapes]
    return explain_layer(subject, specs, advisor=FixedAdvisor(), **options)


IMAGE = (1, 3, 224, 224)


def test_a_text_becomes_our_layer_with_its_formulas():
    found = explain("nn.Conv2d(3, 64, 7, stride=2, padding=3)", IMAGE)
    assert found.text == "cs.Conv(64, 7, stride=2, padding=3)"
    assert found.plan.output.shape == (1, 64, 112, 112)
    assert "height: e = dilation * (kernel_size - 1) + 1 = 1 * (7 - 1) + 1 = 7" in (
        found.plan.explanation
    )
    assert {count.convention for count in found.plan.counts} >= {"mac", "flop"}
    assert not found.problem
    assert not found.changes


def test_a_mode_is_told_in_numbers_with_its_rule():
    found = explain('Conv2D(64, 7, strides=2, padding="same")', IMAGE)
    [note] = [note for note in found.notes if "rule" in note]
    assert note.startswith("padding 'same' is (2, 3) × (2, 3): TensorFlow's rule")


def test_another_meaning_of_a_word_is_told():
    found = explain('Conv2DTranspose(8, 3, strides=2, padding="same")', (1, 3, 5, 5))
    assert found.notes[0].startswith("'same' by Keras's rule is padding=((0, 1), (0, 1))")


def test_the_inputs_that_collapse_are_told():
    found = explain(Conv(64, 7, stride=2, padding=3), IMAGE)
    assert found.notes[-1] == "width: inputs from 223 to 224 give 112"


def test_each_dialect_has_a_row_and_comparing_adds_the_runtimes():
    few = explain(Conv(8, 3, padding="same"), IMAGE)
    assert [row.dialect for row in few.renderings] == [
        *("convserve", "pytorch", "keras", "onnx", "caffe"),
        *("darknet", "matlab", "jax", "scipy"),
    ]
    many = explain(Conv(8, 3, padding="same"), IMAGE, compare=True)
    assert {"torch", "keras", "onnxruntime", "openvino", "jax"} <= {
        row.runtime for row in many.renderings
    }


def test_a_layer_that_is_impossible_is_explained_with_what_helps():
    found = explain("nn.Conv2d(3, 64, 7)", (1, 3, 5, 5))
    assert found.plan is None
    assert "does not fit" in found.problem
    assert found.problem_field == "conv.kernel_size"
    assert (found.changes[0].edit, found.changes[0].gives) == ("padding=1", "1")
    assert "impossible: conv.kernel_size" in str(found)
    assert "padding=1 gives 1" in str(found)


def test_a_wanted_size_that_is_missed_has_the_nearest_changes():
    found = explain(Conv(64, 3), IMAGE, wanted=(224,))
    assert found.plan is not None
    assert "it gives 222, not 224" in found.notes
    assert str(found.changes[0].edit) == "padding=1"
    assert not explain(Conv(64, 3, padding=1), IMAGE, wanted=(224, 224)).changes


def test_what_its_own_framework_refuses_is_told():
    found = explain("nn.Conv2d(3, 64, 7, stride=2, padding='same')", IMAGE)
    words = "PyTorch refuses it: padding='same' is not supported for strided convolutions"
    assert words in found.notes
    assert not any("refuses" in note for note in explain(found.layer, IMAGE).notes)
    found = explain("nn.Conv2d(3, 64, 7, stride=2)", IMAGE, wanted=(112,))
    assert [change.edit for change in found.changes] == ["padding=3", "kernel_size=2", "input 229"]


@pytest.mark.parametrize(("shape", "is_asked"), [((3, 8, 8), True), ((1, 3, 8, 8, 8), False)])
def test_a_shape_without_its_batch_is_asked_for_it(shape, is_asked):
    with pytest.raises(ShapeError, match="the layer has 2 spatial axes") as caught:
        explain("nn.Conv2d(3, 64, 3)", shape)
    assert ("is the batch missing?" in str(caught.value)) == is_asked
    assert caught.value.field == "inputs"


def test_a_symbolic_batch_and_several_inputs_are_fine():
    assert explain(ConvTranspose(4, 2, stride=2), (-1, 3, 5)).plan.output.shape == (-1, 4, 10)
    assert explain(Add(), (1, 3, 4), (1, 3, 4)).plan.output.shape == (1, 3, 4)


def test_kinds_without_windows_have_our_words_only():
    found = explain(ReLU(), IMAGE)
    assert [row.spelling for row in found.renderings] == ["cs.ReLU()"]
    assert found.plan is not None
    assert "divisible" in explain(PixelShuffle(2), IMAGE).problem


def test_what_has_no_layer_is_explained_by_its_words():
    found = explain('Conv(W=[1,1,3], auto_pad="SAME_UPPER", pads=[1,1])', (1, 1, 9), compare=True)
    assert found.layer is None
    assert found.problem
    assert found.renderings[0].outcome == "inexpressible"
    assert "refused" in {row.outcome for row in found.renderings}


@pytest.mark.parametrize(
    ("subject", "shapes", "options", "error"),
    [
        ("nn.Conv2d(3, 64, 7)", [(1, 3, 9)], {}, ShapeError),
        ("nn.Conv2d(4, 64, 7)", [IMAGE], {}, ShapeError),
        ("nn.Conv2d(3, 64)", [IMAGE], {}, InvalidLayerError),
        (Conv(64, 7), [], {}, ShapeError),
        (Conv(64, 7), [(3,)], {}, ShapeError),
        (Conv(64, 7), [IMAGE], {"dialect": "keras"}, InvalidArgumentError),
        (Conv(64, 7), [IMAGE], {"wanted": (1, 2, 3)}, InvalidLayerError),
    ],
)
def test_what_is_wrong_with_the_question_is_an_error(subject, shapes, options, error):
    with pytest.raises(error):
        explain(subject, *shapes, **options)


def test_an_element_type_that_is_not_taken_is_told():
    found = explain(Conv(1, 1), (1, 1, 3), dtype="bool")
    assert found.problem or found.plan
    with pytest.raises(DTypeError):
        explain(Conv(1, 1), (1, 1, 3), dtype="float7")


def test_a_plan_explains_a_layer_of_its_own():
    planned = plan([Conv(8, 3, name="first"), ReLU()], IMAGE, explain=True)
    text = planned.explain("first")
    assert text.startswith("first (conv) reads input, gives (1, 8, 222, 222) float32")
    assert "mac_with_bias" in text
    assert "FLOPs" in planned.explain("relu1")
    with pytest.raises(KeyError):
        planned.explain("second")
    with pytest.raises(FailedPreconditionError, match="explain=True"):
        plan([Conv(8, 3)], IMAGE).explain("conv1")
