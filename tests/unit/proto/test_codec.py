"""Values to messages and back, by identical field names."""

from fractions import Fraction

import attrs
import pytest
from convserve import codec, plans, runs, servers
from convserve import layers as ly
from convserve.errors import ConvserveError
from convserve.networks import Network
from convserve.operations import (
    OPERATIONS,
    ConvInputGradient,
    Convolve,
    ConvWeightGradient,
    Correlate,
)
from convserve.tensors import TensorSpec
from convserve.v1 import (
    compute_service_pb2,
    device_pb2,
    layer_pb2,
    operation_pb2,
    plan_pb2,
)

from tests.conformance.cases import CASES

LAYERS = {
    layer for case in CASES if isinstance(case.work, Network) for layer in case.work.layers
} | {
    ly.Conv(8, (3, 5), 2, "same", (2, 1), 4, False, padding_mode="reflect", name="c", inputs="b"),
    ly.LeakyReLU(0.0),
    ly.GlobalMaxPool(name="g"),
    ly.Add(inputs=("a", "b")),
}  # fmt: skip


def over_the_wire(layer):
    data = codec.layer_to_message(layer).SerializeToString()
    return codec.layer_from_message(layer_pb2.Layer.FromString(data))


def test_every_layer_survives_the_wire():
    assert {type(layer) for layer in LAYERS} == set(ly.KINDS.values())
    assert [layer for layer in LAYERS if over_the_wire(layer) != layer] == []


@pytest.mark.parametrize("kind", ly.KINDS)
def test_every_kind_has_a_message_with_the_same_fields(kind):
    oneof = layer_pb2.Layer.DESCRIPTOR.oneofs_by_name["kind"]
    assert {field.name for field in oneof.fields} == set(ly.KINDS)
    message = layer_pb2.Layer.DESCRIPTOR.fields_by_name[kind].message_type
    own = {a.name for a in attrs.fields(ly.KINDS[kind])} - {"name", "inputs"}
    assert {field.name for field in message.fields} == own


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (plans.Plan, plan_pb2.Plan),
        (plans.LayerPlan, plan_pb2.LayerPlan),
        (plans.ReceptiveField, plan_pb2.ReceptiveField),
        (runs.CallRecord, compute_service_pb2.CallRecord),
        (runs.StepRecord, compute_service_pb2.StepRecord),
        (runs.RunOptions, compute_service_pb2.RunOptions),
        (servers.Limits, compute_service_pb2.Limits),
        (servers.ModelInfo, compute_service_pb2.Model),
        (servers.Device, device_pb2.Device),
    ],
)
def test_every_value_has_the_fields_of_its_message(cls, message):
    assert {a.name for a in attrs.fields(cls)} == {f.name for f in message.DESCRIPTOR.fields}


def test_an_absent_field_takes_the_default_and_a_given_zero_does_not():
    message = layer_pb2.Layer(conv=layer_pb2.Conv(out_channels=8, kernel_size=[3]))
    assert codec.layer_from_message(message) == ly.Conv(8, 3)
    message.conv.bias = False
    assert codec.layer_from_message(message) == ly.Conv(8, 3, bias=False)
    message.conv.groups = 0
    with pytest.raises(ConvserveError) as caught:
        codec.layer_from_message(message)
    assert caught.value.field == "conv.groups"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (layer_pb2.Layer(), "kind"),
        (layer_pb2.Layer(conv=layer_pb2.Conv(kernel_size=[3])), "conv.out_channels"),
        (layer_pb2.Layer(conv=layer_pb2.Conv(out_channels=8)), "conv.kernel_size"),
        (
            layer_pb2.Layer(
                conv=layer_pb2.Conv(
                    out_channels=8, kernel_size=[3], padding=layer_pb2.Padding(low=[1, 2], high=[1])
                )
            ),
            "conv.padding",
        ),
        (
            layer_pb2.Layer(
                conv=layer_pb2.Conv(
                    out_channels=8, kernel_size=[3], padding=layer_pb2.Padding(mode=1, low=[1])
                )
            ),
            "conv.padding",
        ),
        (
            layer_pb2.Layer(
                conv=layer_pb2.Conv(
                    out_channels=8, kernel_size=[3], padding=layer_pb2.Padding(mode=77)
                )
            ),
            "conv.padding",
        ),
        (layer_pb2.Layer(pad=layer_pb2.Pad(mode=55)), "pad.mode"),
    ],
)
def test_wrong_layers_are_refused_at_the_field(message, field):
    with pytest.raises(ConvserveError) as caught:
        codec.network_from_message(layer_pb2.Network(layers=[message]))
    assert caught.value.field == f"layers[0].{field}"


def test_a_network_survives_the_wire():
    network = Network(
        [ly.ReLU(inputs="a"), ly.Add(inputs=("relu1", "b"), name="sum"), ly.Tanh(inputs="relu1")],
        inputs=("a", "b"),
        outputs=("sum", "tanh1"),
    )
    data = codec.network_to_message(network).SerializeToString()
    assert codec.network_from_message(layer_pb2.Network.FromString(data)) == network


@pytest.mark.parametrize(
    "operation",
    [
        Convolve("same", "fft"),
        Correlate(),
        ConvInputGradient((1, 2, 3), padding="same"),
        ConvWeightGradient((3, 3), 2, 1, 1, 2),
    ],
    ids=repr,
)
def test_every_operation_survives_the_wire(operation):
    data = codec.operation_to_message(operation).SerializeToString()
    assert codec.operation_from_message(operation_pb2.Operation.FromString(data)) == operation


def test_every_operation_is_in_the_message():
    oneof = operation_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"]
    assert {field.name for field in oneof.fields} == set(OPERATIONS)


def test_a_plan_survives_the_wire():
    field = plans.ReceptiveField((7,), (Fraction(1, 2),), (Fraction(-3),))
    layer = plans.LayerPlan(
        name="conv1",
        kind="conv",
        inputs=("input",),
        output=TensorSpec("conv1", "float32", (-1, 8, 5)),
        resolved=ly.Conv(8, (3,), (1,), ((0, 0),), name="conv1", inputs="input"),
        parameters=(TensorSpec("conv1.weight", "float32", (8, 3, 3)),),
        parameter_count=72,
        receptive_field=field,
        explanation=("a", "b"),
    )
    plan = plans.Plan(
        inputs=(TensorSpec("input", "float32", (-1, 3, 7)),),
        outputs=(layer.output,),
        layers=(layer,),
        mac_count=2**62,
        receptive_field=field,
        symbolic_batch=True,
    )
    message = codec.to_message(plan, plan_pb2.Plan())
    again = codec.from_message(plan_pb2.Plan.FromString(message.SerializeToString()), plans.Plan)
    assert again == plan
    assert again.output_shape == ("N", 8, 5)
    assert again.layer("conv1").output_shape == ("N", 8, 5)


def test_options_use_enum_names():
    options = runs.RunOptions(precision="tf32", layout="channels_last")
    message = codec.to_message(options, compute_service_pb2.RunOptions())
    assert message.layout == compute_service_pb2.RunOptions(layout="LAYOUT_CHANNELS_LAST").layout
    assert codec.from_message(message, runs.RunOptions) == options
    empty = compute_service_pb2.RunOptions()
    assert codec.from_message(empty, runs.RunOptions) == runs.RunOptions()


def test_an_unknown_name_is_refused():
    with pytest.raises(ConvserveError, match="strict, tf32"):
        codec.to_message(runs.RunOptions(precision="loose"), compute_service_pb2.RunOptions())
