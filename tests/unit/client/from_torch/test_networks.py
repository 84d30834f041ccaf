"""What `from_torch` makes of a module: names, weights, shapes, notes; and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import torch
from convserve.errors import InvalidArgumentError, ShapeError, UnsupportedError
from convserve.layers import Add, Conv, GlobalAvgPool
from convserve.tensors import TensorSpec
from convserve_client import from_torch
from torch import nn

from tests.torch_networks import build, plan_own, run_own
from tests.unit.client.from_torch.modules import RANK_1, RANK_2, Call, OfShapes


def test_names_are_those_of_the_modules():
    module = build("resnet18")
    network = from_torch(module, (1, 3, 64, 64))
    layers = {layer.name: layer for layer in network.layers}
    assert isinstance(layers["layer1.0.conv1"], Conv)
    assert layers["layer1.0.add"] == Add(name="layer1.0.add", inputs=("layer1.0.bn2", "maxpool"))
    assert "layer1.0.relu_1" in layers  # the second call of one module
    assert isinstance(layers["avgpool"], GlobalAvgPool)
    state = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    assert network.weights.keys() == state


def test_weights_share_the_memory_of_the_module():
    module = nn.Conv2d(3, 4, 3)
    weights = from_torch(module, (1, 3, 8, 8)).weights
    assert np.shares_memory(weights["conv2d.weight"], module.weight.detach().numpy())


def test_bfloat16_weights():
    module = nn.Conv1d(2, 3, 2).bfloat16()
    network = from_torch(module, (1, 2, 8))
    assert network.weights["conv1d.weight"].dtype == ml_dtypes.bfloat16
    assert network.input_specs == (TensorSpec("input", "bfloat16", (1, 2, 8)),)
    np.testing.assert_array_equal(
        network.weights["conv1d.weight"].astype(np.float32), module.weight.detach().float().numpy()
    )


def test_the_module_stays_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.Dropout()))
    module[0].eval()
    from_torch(module, (1, 3, 8, 8))
    assert [each.training for each in module.modules()] == [True, False, True, True, True]
    assert module[1][0].num_batches_tracked == 0


def test_a_module_without_values_has_no_weights():
    with torch.device("meta"):
        network = from_torch(nn.Conv2d(3, 4, 3), (1, 3, 8, 8))
    assert network.weights == {}
    assert plan_own(network).parameter_count == 4 * 27 + 4


def test_any_batch():
    network = from_torch(nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten()), ("N", *RANK_2[1:]))
    assert network.input_specs[0].shape == (-1, *RANK_2[1:])
    assert plan_own(network).output_shape == ("N", 4 * 7 * 6)


class TwoInputs(nn.Module):
    def forward(self, image, mask, scale=None, *, invert=False):
        product = image * mask if scale is None else image * mask * scale
        return {"product": product, "sum": image + mask if invert is False else None}


def test_several_inputs_and_results():
    network = from_torch(TwoInputs(), {"image": RANK_1, "mask": RANK_1})
    assert network.inputs == ("image", "mask")
    assert network.outputs == ("mul", "add")
    x = np.ones(RANK_1, np.float32)
    results = run_own(network, 3 * x, 2 * x)
    np.testing.assert_array_equal(results["mul"], 6 * x)
    np.testing.assert_array_equal(results["add"], 5 * x)


def test_one_module_twice():
    network = from_torch(Call(lambda x, conv: conv(conv(x)), conv=nn.Conv1d(4, 4, 1)), RANK_1)
    assert [layer.name for layer in network.layers] == ["conv", "conv_1"]
    np.testing.assert_array_equal(network.weights["conv.weight"], network.weights["conv_1.weight"])


def test_constants_are_noted():
    network = from_torch(Call(lambda x: x * 3), RANK_1)
    assert network.notes == ("mul: its constants become 4 parameters, along axis 1",)
    assert from_torch(nn.ReLU(), RANK_1).notes == ()


def test_what_leads_nowhere_is_left_out():
    network = from_torch(Call(lambda x: (x * 3, torch.relu(x))[1]), RANK_1)
    assert [layer.name for layer in network.layers] == ["relu"]


UNSUPPORTED = {
    "function": (Call(lambda x: torch.cumsum(x, 1)), r"^cumsum: .* torch's cumsum"),
    "module": (nn.Sequential(nn.RReLU()), r"^0: .* torch's RReLU"),
    "method": (Call(lambda x: x.sort(1)[0]), r"^sort: .* torch's sort"),
    "export's": (OfShapes(nn.Sequential(nn.RReLU())), r"^inner\.0: .* torch's rrelu"),
    "arguments": (nn.GELU("tanh"), "approximate='tanh' is not supported, only 'none'"),
    "keywords": (Call(lambda x: torch.mean(x, 1, out=None)), "mean is not supported with these"),
    "batch": (Call(lambda x: x.transpose(0, 1)), "dim=0 is the batch"),
    "mixed samples": (Call(lambda x: x.flatten()), "mixes samples"),
    "batch statistics": (nn.BatchNorm1d(4, track_running_stats=False), "running statistics"),
    "random": (Call(lambda x: nn.functional.dropout(x)), "training=True"),
    "weights of the input": (
        Call(lambda x: nn.functional.conv1d(x, x)),
        "weight depends on the input",
    ),
    "elementwise constants": (
        Call(lambda x, w: x + w, w=nn.Parameter(torch.ones(4, 12))),
        "several axes",
    ),
    "other types": (Call(lambda x: x.double()), "no layer for torch's double"),
    "a view that is changed": (
        Call(lambda x: (x[:, :2].add_(1), x * 2)[1]),
        "changed in place",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named(name):
    module, words = UNSUPPORTED[name]
    with pytest.raises(UnsupportedError, match=words):
        from_torch(module, RANK_1)


def test_a_power_pool_must_not_cut_its_last_window():
    pool = nn.LPPool2d(2, (2, 3), ceil_mode=True)
    assert from_torch(pool, (1, 4, 6, 9)).layers
    for shape in ((1, 4, 5, 9), (1, 4, 6, 8)):
        with pytest.raises(UnsupportedError, match="ceil_mode=True cuts the last window"):
            from_torch(pool, shape)


def test_what_cannot_be_traced_says_why():
    module = Call(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(UnsupportedError, match=r"^Call: torch\.fx cannot trace it: .* nor can"):
        from_torch(module, RANK_1)


def test_unbatched_inputs_are_refused():
    with pytest.raises(UnsupportedError, match=r"^conv2d: its input has 3 axes"):
        from_torch(nn.Conv2d(3, 4, 3), (3, 8, 8))


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((1, 5, 8, 8), ShapeError, "the module fails for input .*[Cc]hannel"),
        (("n", 3, 8, 8), ShapeError, "is not a shape"),
        ((), ShapeError, "is not a shape"),
        ((1, 3, -8, 8), ShapeError, "size -8 is not from 0"),
        (8, ShapeError, "is not a shape"),
        ({"x": (1, 3, 8, 8)}, InvalidArgumentError, "forward takes input, and needs input"),
        ({}, InvalidArgumentError, "needs input"),
    ],
)
def test_wrong_shapes(shape, kind, words):
    with pytest.raises(kind, match=words) as caught:
        from_torch(nn.Conv2d(3, 4, 3), shape)
    assert caught.value.field.startswith("example_shape")


def test_only_modules():
    with pytest.raises(UnsupportedError, match="is not a torch"):
        from_torch(torch.relu, (1, 3))  # type: ignore[arg-type]


def test_torch_is_imported_when_needed():
    code = (
        "import sys, convserve_client as cs; print(bool({'torch', 'matplotlib'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
