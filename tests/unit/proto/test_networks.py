"""Networks: names, edges, order."""

import pytest
from convserve import layers as ly
from convserve.errors import InvalidLayerError, InvalidNetworkError
from convserve.networks import Network


def test_a_list_is_a_chain_with_names_counted_per_kind():
    network = Network([ly.Conv(8, 3), ly.ReLU(), ly.Conv(8, 3), ly.MaxPool(2)])
    assert [layer.name for layer in network.layers] == ["conv1", "relu1", "conv2", "max_pool1"]
    assert [layer.inputs for layer in network.layers] == [
        ("input",),
        ("conv1",),
        ("relu1",),
        ("conv2",),
    ]
    assert network.outputs == ("max_pool1",)


def test_automatic_names_avoid_given_ones():
    network = Network([ly.ReLU(name="relu2"), ly.ReLU(), ly.ReLU()])
    assert [layer.name for layer in network.layers] == ["relu2", "relu1", "relu3"]


def test_a_graph_may_be_listed_in_any_order():
    network = Network(
        [
            ly.Add(name="sum", inputs=("a", "b")),
            ly.ReLU(name="a", inputs="input"),
            ly.Tanh(name="b", inputs="a"),
        ]
    )
    assert [network.layers[index].name for index in network.order] == ["a", "b", "sum"]
    assert network.outputs == ("sum",)


def test_a_chain_runs_as_written():
    network = Network([ly.ReLU() for _ in range(300)])
    assert network.order == tuple(range(300))


def test_several_inputs_and_outputs():
    network = Network(
        [ly.ReLU(inputs="left"), ly.Tanh(inputs="right"), ly.Sigmoid(inputs="left")],
        inputs=("left", "right"),
    )
    assert network.outputs == ("relu1", "tanh1", "sigmoid1")


def test_a_network_rebuilt_from_its_parts_is_equal():
    network = Network([ly.Conv(8, 3), ly.ReLU()])
    assert Network(network.layers, network.inputs, network.outputs) == network


@pytest.mark.parametrize(
    ("layers", "options", "field"),
    [
        ([], {}, "layers"),
        (["conv"], {}, "layers[0]"),
        ([ly.ReLU(inputs="missing")], {}, "layers[0].inputs[0]"),
        ([ly.ReLU(name="a"), ly.Tanh(name="a")], {}, "layers[1].name"),
        ([ly.ReLU(name="x", inputs="x2")], {"inputs": ("x", "x2")}, "layers[0].name"),
        ([ly.ReLU(name="a", inputs="b"), ly.ReLU(name="b", inputs="a")], {}, "layers[0].inputs"),
        ([ly.ReLU(name="a", inputs="a")], {}, "layers[0].inputs"),
        ([ly.ReLU()], {"inputs": ("a", "b")}, "layers[0].inputs"),
        ([ly.ReLU(inputs="a")], {"inputs": ("a", "b")}, "inputs[1]"),
        ([ly.ReLU(inputs="a")], {"inputs": ("a", "a")}, "inputs[1]"),
        ([ly.ReLU()], {"outputs": ("nothing",)}, "outputs[0]"),
        ([ly.ReLU()], {"outputs": ("relu1", "relu1")}, "outputs[1]"),
    ],
)
def test_wrong_graphs_are_refused_at_the_field(layers, options, field):
    if field == "layers[0].inputs" and not options:
        layers = [*layers, ly.Add(name="end", inputs=("input", layers[0].name))]
    with pytest.raises(InvalidNetworkError) as caught:
        Network(layers, **options)
    assert caught.value.field == field


def test_a_network_from_plain_data():
    network = Network.from_dict(
        {"layers": [{"kind": "conv", "out_channels": 4, "kernel_size": [3, 3]}, {"kind": "relu"}]}
    )
    assert network == Network([ly.Conv(4, (3, 3)), ly.ReLU()])
    assert Network.from_dict([{"kind": "relu"}]) == Network([ly.ReLU()])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (3, "layers"),
        ({"layers": 3}, "layers"),
        ({"layers": [{"kind": "relu"}], "extra": 1}, ""),
        ([{"kind": "nonsense"}], "layers[0].kind"),
        ([7], "layers[0].kind"),
        ([{"kind": []}], "layers[0].kind"),
        ([{"kind": "conv"}], "layers[0].conv"),
        ([{"kind": "relu", "colour": "red"}], "layers[0].relu"),
        ([{"kind": "conv", "out_channels": 4, "kernel_size": 0}], "layers[0].conv.kernel_size"),
        ({"layers": [{"kind": "relu"}], "inputs": "input"}, "inputs"),
        ({"layers": [{"kind": "relu"}], "outputs": [1]}, "outputs"),
    ],
)
def test_wrong_data_is_refused_at_the_field(data, field):
    with pytest.raises((InvalidNetworkError, InvalidLayerError)) as caught:
        Network.from_dict(data)
    assert caught.value.field == field


class Counted(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other):
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_names_are_looked_up_and_not_searched_for():
    names = [Counted(f"i{number}") for number in range(1000)]
    Network([ly.ReLU(name=Counted(f"r{name}"), inputs=name) for name in names], inputs=names)
    assert 0 < Counted.comparisons < 20 * len(names)
