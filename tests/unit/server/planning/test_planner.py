"""Plans and programs as wholes: types, layouts, names, weights, explanations, sizes."""

from __future__ import annotations

import pytest
from convserve import plans
from convserve.codec import from_message, to_message
from convserve.errors import DTypeError, InvalidNetworkError, ShapeError, TooLargeError
from convserve.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    ReLU,
    Upsample,
)
from convserve.networks import Network
from convserve.tensors import TensorSpec
from convserve.v1 import plan_pb2
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.planning.planner import check_weight_names, compile_network, plan_network
from convserve_server.planning.program import work_outputs, work_parameters

from tests.networks import resnet50
from tests.planning import FixedAdvisor, plan

CHAIN = Network([Conv(4, 3, name="conv"), ReLU()])
TENSORS = [
    TensorSpec("input", "float32", (2, 3, 8)),
    TensorSpec("conv.weight", "float32", (4, 3, 3)),
    TensorSpec("conv.bias", "float32", (4,)),
]


@pytest.mark.parametrize(
    ("x", "weight", "bias", "result"),
    [
        ("float32", "float32", "float32", "float32"),
        ("float16", "float16", "float16", "float16"),
        ("float16", "float32", "float16", "float32"),
        ("bfloat16", "bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16", "float32", "bfloat16", "float32"),
        ("bfloat16", "int8", "bfloat16", "bfloat16"),
        ("float64", "complex64", "float64", "complex128"),
        ("int8", "int8", "int32", "int64"),
        ("int8", "uint8", "int16", "int32"),
        ("bool", "bool", "bool", "int32"),
        ("uint64", "int8", "int8", "int64"),
        ("int8", "float32", "float32", "float32"),
    ],
)
def test_result_type(x, weight, bias, result):
    specs = zip(TENSORS, (x, weight, bias), strict=True)
    tensors = [TensorSpec(spec.name, dtype, spec.shape) for spec, dtype in specs]
    program = compile_network(Network([Conv(4, 3, name="conv")]), tensors)
    assert program.steps[0].output.dtype == result


@pytest.mark.parametrize(("x", "weight"), [("bfloat16", "float16"), ("int16", "bfloat16")])
def test_types_without_a_common_one_are_refused(x, weight):
    specs = zip(TENSORS, (x, weight, weight), strict=True)
    with pytest.raises(DTypeError, match="cast all of them") as caught:
        compile_network(CHAIN, [TensorSpec(s.name, dtype, s.shape) for s, dtype in specs])
    assert caught.value.field == "layers[0].conv"
    assert x in caught.value.message
    assert weight in caught.value.message


def test_batch_norm_takes_no_integer_statistics():
    weights = [TensorSpec(f"n.{role}", "int8", (3,)) for role in ("weight", "bias")]
    weights += [TensorSpec(f"n.running_{role}", "float32", (3,)) for role in ("mean", "var")]
    with pytest.raises(DTypeError, match=r"'n\.weight' is int8"):
        compile_network(Network([BatchNorm(name="n")]), [TENSORS[0], *weights])


def test_planned_weights_have_the_type_of_their_layers_input():
    planned = plan([Conv(4, 3), Conv(4, 3)], (1, 3, 8), dtype="int8")
    assert [layer.parameters[0].dtype for layer in planned.layers] == ["int8", "int32"]
    assert [layer.output.dtype for layer in planned.layers] == ["int32", "int64"]


def test_merged_types_are_promoted():
    network = Network([Add(inputs=("a", "b"))], inputs=("a", "b"))
    specs = [TensorSpec("a", "float32", (1, 3)), TensorSpec("b", "float64", (1, 3))]
    assert compile_network(network, specs).steps[0].output.dtype == "float64"


def test_program():
    program = compile_network(CHAIN, TENSORS)
    assert program.inputs == (TENSORS[0],)
    assert work_outputs(program) == (TensorSpec("relu1", "float32", (2, 4, 6)),)
    assert work_parameters(program) == tuple(TENSORS[1:])
    conv, relu = program.steps
    assert conv.layer.padding == ((0, 0),)
    assert relu.inputs == (conv.output,)


def test_program_of_a_graph_follows_its_order():
    network = Network(
        [
            Add(name="sum", inputs=("b", "y")),
            ReLU(name="b", inputs="x"),
        ],
        inputs=("x", "y"),
        outputs=("sum", "b"),
    )
    specs = [TensorSpec(name, "float32", (2, 3)) for name in ("y", "x")]
    program = compile_network(network, specs)
    assert [spec.name for spec in program.inputs] == ["x", "y"]
    assert [step.output.name for step in program.steps] == ["b", "sum"]
    assert program.outputs == ("sum", "b")


def test_channels_last_concerns_inputs_and_results_only():
    network = Network([Conv(4, 3, name="conv"), Flatten(), Dense(5, name="fc")])
    planned = plan(network, (-1, 8, 9, 3), layout="channels_last")
    assert planned.inputs[0].shape == (-1, 8, 9, 3)
    assert planned.layers[0].output_shape == ("N", 6, 7, 4)
    assert planned.layers[0].parameters[0].shape == (4, 3, 3, 3)
    assert planned.output_shape == ("N", 5)
    tensors = [
        TensorSpec("input", "float32", (2, 8, 9, 3)),
        *(spec for layer in planned.layers for spec in layer.parameters),
    ]
    program = compile_network(network, tensors, layout="channels_last")
    assert program.inputs[0].shape == (2, 3, 8, 9)
    assert program.steps[0].output.shape == (2, 4, 6, 7)


def test_weight_of_another_shape():
    wrong = [TENSORS[0], TensorSpec("conv.weight", "float32", (4, 2, 3)), TENSORS[2]]
    with pytest.raises(ShapeError) as caught:
        compile_network(CHAIN, wrong)
    assert caught.value.field == "tensors['conv.weight'].shape"
    assert "(4, 2, 3)" in caught.value.message
    assert "(4, 3, 3)" in caught.value.message
    assert "layers[0]" in caught.value.message


def test_names_are_one_error_that_lists_them_all():
    given = [*TENSORS[:2], TENSORS[0], TensorSpec("other", "float32", (1,))]
    with pytest.raises(InvalidNetworkError) as caught:
        compile_network(CHAIN, given)
    assert caught.value.field == "tensors"
    for part in ("missing: conv.bias", "not in the network: other", "given twice: input"):
        assert part in caught.value.message
    assert "4 tensors are given and 3 needed" in caught.value.message


def test_weight_names_alone():
    check_weight_names(CHAIN, TENSORS[1:])
    with pytest.raises(InvalidNetworkError, match=r"missing: conv\.weight, conv\.bias") as caught:
        check_weight_names(CHAIN, [])
    assert caught.value.field == "weights"


def test_names_of_inputs():
    two = Network([Add(inputs=("a", "b"))], inputs=("a", "b"))
    with pytest.raises(InvalidNetworkError, match="missing: a, b; not in the network") as caught:
        plan_network(two, [TensorSpec("", "float32", (1, 3))], advisor=FixedAdvisor())
    assert caught.value.field == "inputs"
    with pytest.raises(InvalidNetworkError, match="missing: input; not in the network: y"):
        plan_network(CHAIN, [TensorSpec("y", "float32", (1, 3, 8))], advisor=FixedAdvisor())


def test_a_run_needs_its_batch():
    unknown = [TensorSpec("input", "float32", (-1, 3, 8)), *TENSORS[1:]]
    with pytest.raises(ShapeError) as caught:
        compile_network(CHAIN, unknown)
    assert caught.value.field == "tensors['input'].shape[0]"


def test_explanation_shows_formula_and_numbers():
    planned = plan([Conv(64, 7, stride=2, padding=3)], (1, 3, 224, 224), explain=True)
    text = "\n".join(planned.layers[0].explanation)
    for line in (
        "e = dilation * (kernel_size - 1) + 1 = 1 * (7 - 1) + 1 = 7",
        "L' = floor((L + low + high - e) / stride) + 1 = floor((224 + 3 + 3 - 7) / 2) + 1 = 112",
        "= 64 * (3 / 1) * (7 * 7) + 64 = 9472",
        "= 64 * (112 * 112) * (3 / 1) * (7 * 7) = 118013952 per sample",
        "= 2 * 118013952 + 802816 = 236830720 per sample",
        "receptive field = size + (e - 1) * jump = 1 + (7 - 1) * 1 = 7",
    ):
        assert line in text
    assert plan([ReLU()], (1, 3)).layers[0].explanation == ()


def test_explanation_of_modes_and_batches():
    layers = [
        Conv(4, 4, stride=2, padding="same"),
        ConvTranspose(2, 3, stride=4, padding="same"),
        MaxPool(3, stride=2, ceil_mode=True),
        AvgPool(2),
        BatchNorm(),
        Upsample(2),
        Pad(1),
        PixelShuffle(1),
        GlobalAvgPool(),
        Flatten(),
        Dense(3),
    ]
    planned = plan(layers, (5, 3, 21), explain=True)
    text = {layer.name: "\n".join(layer.explanation) for layer in planned.layers}
    assert all(text.values())
    assert "ceil(21 / 2) - 1) * 2 + 4 - 21) = 3" in text["conv1"]
    assert "low = floor(total / 2) = floor(3 / 2) = 1" in text["conv1"]
    assert "e - stride = 3 - 4 = -1" in text["conv_transpose1"]
    assert "= (11 - 1) * 4 - 0 - 0 + 3 + 1 = 44" in text["conv_transpose1"]
    assert "would start at or after L + low = 44: 22" in text["max_pool1"]
    assert "2 * C = 2 * 2 = 4" in text["batch_norm1"]
    assert "in whole steps" in text["upsample1"]
    assert "FLOPs of the batch = 5 * " in text["dense1"]


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (Conv(1, 3, padding="causal"), "causal: low = e - 1 = 3 - 1 = 2, high = 0"),
        (Conv(1, 3, padding="full"), "full: low = e - 1 = 3 - 1 = 2, high = 2"),
        (Conv(1, 4, padding="same_lower"), "same_lower: low = ceil(total / 2) = ceil(3 / 2) = 2"),
        (Conv(1, 3, padding="valid"), "L' = floor((L + low + high - e) / stride) + 1"),
        (ConvTranspose(1, 3, stride=2), "(8 - 1) * 2 - 0 - 0 + 3 + 0 = 17"),
        (Concat(inputs=("input", "input")), "C' = sum(C) = 3 + 3 = 6"),
        (PixelUnshuffle(2), "C' = C * factor^axes = 3 * 2^1 = 6"),
    ],
    ids=str,
)
def test_explanation_of(layer, line):
    assert line in "\n".join(plan([layer], (1, 3, 8), explain=True).layers[0].explanation)


def test_plans_survive_the_wire():
    planned = plan([Conv(4, 3, padding="same"), Upsample(2), BatchNorm()], (-1, 3, 8), explain=True)
    assert from_message(to_message(planned, plan_pb2.Plan()), plans.Plan) == planned


def test_a_batch_multiplies_counts_and_nothing_else():
    one, many = (plan(resnet50(), (batch, 3, 224, 224)) for batch in (1, 1000))
    assert many.mac_count == 1000 * one.mac_count
    assert many.flop_count == 1000 * one.flop_count
    assert many.parameter_count == one.parameter_count
    assert many.peak_memory_per_sample_bytes == one.peak_memory_per_sample_bytes


def test_sizes_at_the_limit_are_answered_exactly():
    side = 2**15
    planned = plan([Conv(1, 3, padding=1, bias=False)], (1, 1, side, side, 2))
    assert planned.mac_count == side * side * 2 * 27
    longest = 2**31 - 1
    assert plan([ReLU()], (-1, 1, longest)).layers[0].activation_bytes == 4 * longest
    with pytest.raises(TooLargeError, match=str(longest + 1)):
        plan([Pad(((0, 1),))], (1, 1, longest))


def test_a_receptive_field_is_bounded():
    with pytest.raises(TooLargeError, match="receptive field"):
        plan([Conv(1, 1, stride=2**31 - 1)] * 3, (1, 1, 1))


def test_thousands_of_layers_are_planned_and_compiled():
    network = Network([Conv(4, 3, padding=1) for _ in range(4096)])
    planned = plan(network, (1, 4, 16))
    assert len(planned.layers) == 4096
    assert planned.receptive_field is not None
    assert planned.receptive_field.size == (2 * 4096 + 1,)
    weights = [spec for layer in planned.layers for spec in layer.parameters]
    tensors = [TensorSpec("input", "float32", (1, 4, 16)), *weights]
    assert len(compile_network(network, tensors).steps) == 4096


def test_a_weight_with_the_name_of_a_layer_is_refused():
    network = Network([ReLU(name="a.weight"), Conv(2, 1, name="a")])
    with pytest.raises(InvalidNetworkError, match=r"'a\.weight'") as caught:
        check_weight_names(network, [])
    assert caught.value.field == "layers[1].name"


def test_what_is_not_exact_is_noted_once():
    notes = plan_network(
        Network([Conv(1, 4096), ReLU(), Conv(1, 4096)]),
        [TensorSpec("", "float32", (1, 1, 1 << 18))],
        advisor=CpuAdvisor(1),
    ).notes
    assert notes == ("the memory of FFTs is estimated",)
