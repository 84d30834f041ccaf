"""The memory of a step of training: counted by hand, and what PyTorch's autograd really keeps."""

from __future__ import annotations

import pytest
import torch
from convserve import layers
from convserve.errors import InvalidArgumentError
from convserve.layers import Add, BatchNorm, Concat, Conv, Dense, Flatten, GlobalAvgPool, ReLU
from convserve.networks import Network
from torch import nn

from tests.networks import alexnet, resnet50
from tests.planning import plan

BATCH = 2


def bytes_kept_by_torch(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes of what lives between forward and backward: saved tensors and the result, each once."""
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # so that no address is used twice
        return tensor

    held: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        keep(module(torch.rand(shape)))
    return sum(size for address, size in kept.items() if address not in own)


def bytes_kept_by_plan(network: Network | list[layers.Layer], shape: tuple[int, ...]) -> int:
    """What the plan says is alive when backward begins, before it has made anything."""
    planned = plan(network, shape, training=True, optimizer="none")
    first = next(moment for moment in planned.timeline if moment.phase == "backward")
    return first.activation_bytes


# What follows a 1x1 convolution to 4 channels: ours, PyTorch's, and the sizes of the input.
KINDS = [
    (layers.ReLU(), nn.ReLU(), (6, 6)),
    (layers.ReLU6(), nn.ReLU6(), (6, 6)),
    (layers.LeakyReLU(), nn.LeakyReLU(), (6, 6)),
    (layers.GELU(), nn.GELU(), (6, 6)),
    (layers.SiLU(), nn.SiLU(), (6, 6)),
    (layers.Sigmoid(), nn.Sigmoid(), (6, 6)),
    (layers.Tanh(), nn.Tanh(), (6, 6)),
    (layers.ELU(), nn.ELU(), (6, 6)),
    (layers.Softplus(), nn.Softplus(), (6, 6)),
    (layers.Softmax(), nn.Softmax(1), (6, 6)),
    (layers.HardSigmoid(), nn.Hardsigmoid(), (6, 6)),
    (layers.HardSwish(), nn.Hardswish(), (6, 6)),
    (layers.Mish(), nn.Mish(), (6, 6)),
    (layers.PReLU(), nn.PReLU(4), (6, 6)),
    (layers.BatchNorm(), nn.BatchNorm2d(4), (6, 6)),
    (layers.GroupNorm(2), nn.GroupNorm(2, 4), (6, 6)),
    (layers.LayerNorm(3), nn.LayerNorm((4, 6, 6)), (6, 6)),
    (layers.InstanceNorm(), nn.InstanceNorm2d(4), (6, 6)),
    (layers.LocalResponseNorm(3), nn.LocalResponseNorm(3), (6, 6)),
    (layers.MaxPool(2), nn.MaxPool1d(2), (8,)),
    (layers.MaxPool(2), nn.MaxPool2d(2), (6, 6)),
    (layers.MaxPool(2), nn.MaxPool3d(2), (4, 4, 4)),
    (layers.AvgPool(2), nn.AvgPool2d(2), (6, 6)),
    (layers.LpPool(2), nn.LPPool2d(2, 2), (6, 6)),
    (layers.GlobalAvgPool(), nn.AdaptiveAvgPool2d(1), (6, 6)),
    (layers.AdaptiveAvgPool(3), nn.AdaptiveAvgPool2d(3), (7, 7)),
    (layers.AdaptiveMaxPool(3), nn.AdaptiveMaxPool2d(3), (7, 7)),
    (layers.Conv(5, 3, groups=1), nn.Conv2d(4, 5, 3), (6, 6)),
    (layers.Conv(8, 3, groups=4), nn.Conv2d(4, 8, 3, groups=4), (6, 6)),
    (layers.DepthwiseConv(3), nn.Conv2d(4, 4, 3, groups=4), (6, 6)),
    (layers.ConvTranspose(5, 3), nn.ConvTranspose2d(4, 5, 3), (6, 6)),
    (layers.Upsample(2), nn.Upsample(scale_factor=2), (6, 6)),
    (layers.Upsample(2, "linear"), nn.Upsample(scale_factor=2, mode="bilinear"), (6, 6)),
    (layers.PixelShuffle(2), nn.PixelShuffle(2), (6, 6)),
    (layers.Pad(1), nn.ZeroPad2d(1), (6, 6)),
    (layers.Pad(1, "reflect"), nn.ReflectionPad2d(1), (6, 6)),
    (layers.Pad(1, "replicate"), nn.ReplicationPad2d(1), (6, 6)),
    (layers.Flatten(), nn.Flatten(), (6, 6)),
]


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, nn.Module) else ""


@pytest.mark.parametrize(("layer", "module", "sizes"), KINDS, ids=name_of)
def test_backward_needs_what_pytorch_saves(layer, module, sizes):
    rank = len(sizes)
    first = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1](3, 4, 1)
    shape = (BATCH, 3, *sizes)
    theirs = bytes_kept_by_torch(nn.Sequential(first, module), shape)
    assert bytes_kept_by_plan([Conv(4, 1), layer], shape) == theirs


class Block(nn.Module):
    """A residual block with a projection, as in ResNet, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.project = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(torch.relu(self.first(x))) + self.project(x)
        return self.dense(torch.relu(y).mean((2, 3)))


def test_a_residual_block_keeps_what_pytorch_saves():
    network = Network(
        [
            *(Conv(8, 3, padding=1, bias=False), BatchNorm(), ReLU()),
            *(Conv(8, 3, padding=1, bias=False), BatchNorm(name="main")),
            *(Conv(8, 1, bias=False, inputs="input"), BatchNorm(name="skip")),
            *(Add(inputs=("main", "skip")), ReLU(), GlobalAvgPool(), Flatten(), Dense(5)),
        ]
    )
    shape = (BATCH, 3, 9, 9)
    assert bytes_kept_by_plan(network, shape) == bytes_kept_by_torch(Block(), shape)


def test_alexnet_keeps_what_pytorch_saves():
    module = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Flatten(),
        *(nn.Linear(256, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )
    shape = (1, 3, 63, 63)  # 1x1 before the classifier
    assert bytes_kept_by_plan(alexnet(), shape) == bytes_kept_by_torch(module, shape)


def test_a_chain_by_hand():
    planned = plan(
        [Conv(8, 1, bias=False), ReLU()],
        (BATCH, 4, 10),
        training=True,
        optimizer="adam",
    )
    x, y, w = BATCH * 4 * 10 * 4, BATCH * 8 * 10 * 4, 8 * 4 * 4
    assert planned.training
    assert planned.optimizer == "adam"
    assert [(m.layer, m.phase) for m in planned.timeline] == [
        ("conv1", "forward"),
        ("relu1", "forward"),
        ("relu1", "backward"),
        ("conv1", "backward"),
        ("optimizer", "update"),
    ]
    assert [m.activation_bytes for m in planned.timeline] == [x + y, x + 2 * y, x + y, x, 0]
    assert [m.gradient_bytes for m in planned.timeline] == [0, 0, 2 * y, y + w, w]
    assert {m.optimizer_bytes for m in planned.timeline} == {2 * w}
    assert {m.weight_bytes for m in planned.timeline} == {w}
    assert planned.peak_layer == "relu1"
    assert planned.peak_memory_bytes == x + y + 2 * y + 3 * w
    assert planned.peak_memory_per_sample_bytes == (x + y + 2 * y) // BATCH


def test_gradients_of_branches_are_added_up():
    network = Network(
        [
            Conv(1, 1, bias=False, name="a"),
            ReLU(name="b", inputs="a"),
            ReLU(name="c", inputs="a"),
            Concat(name="join", inputs=("b", "c")),
        ]
    )
    timeline = plan(network, (1, 1, 10), training=True, optimizer="none").timeline
    gradients = {m.layer: m.gradient_bytes for m in timeline if m.phase == "backward"}
    assert gradients["join"] == 80 + 2 * 40  # its own, and one of each branch
    assert gradients["c"] == 2 * 40 + 40  # of b, of c, and the first part of a's
    assert gradients["b"] == 40 + 40 + 40  # of b, a's sum so far, and the second part
    assert gradients["a"] == 40 + 4  # and of the weight


def test_what_leads_to_no_weight_needs_no_gradient():
    timeline = plan([ReLU(), Conv(1, 1, bias=False)], (1, 1, 10), training=True).timeline
    (conv,) = (m for m in timeline if (m.layer, m.phase) == ("conv1", "backward"))
    assert conv.gradient_bytes == 40 + 4  # of its result and its weight, not of its input


@pytest.mark.parametrize(
    ("optimizer", "copies"), [("none", 0), ("sgd", 0), ("momentum", 1), ("rmsprop", 1), ("adam", 2)]
)
def test_the_optimizer_keeps_its_state_for_trained_weights(optimizer, copies):
    planned = plan([Conv(8, 3), BatchNorm()], (1, 4, 10), training=True, optimizer=optimizer)
    trained = 4 * planned.parameter_count
    assert planned.weight_bytes == trained + 4 * 2 * 8  # the statistics are not trained
    assert {m.optimizer_bytes for m in planned.timeline} == {copies * trained}
    assert (planned.timeline[-1].phase == "update") == (optimizer != "none")
    assert planned.timeline[-1].gradient_bytes >= trained


def test_the_peak_is_a_fixed_part_and_one_for_each_sample():
    planned = plan(resnet50(), (9, 3, 224, 224), training=True)
    fixed, each = planned.peak_memory_fixed_bytes, planned.peak_memory_per_sample_bytes
    assert planned.peak_memory_bytes == fixed + 9 * each
    state = planned.weight_bytes + 2 * 4 * planned.parameter_count
    assert state < fixed < state + 4 * planned.parameter_count  # gradients of the last layers
    assert planned.peak_memory_bytes == max(moment.byte_count for moment in planned.timeline)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InvalidArgumentError, match="'lion' is not an optimizer") as caught:
        plan([ReLU()], (1, 2), training=True, optimizer="lion")
    assert caught.value.field == "optimizer"


def test_training_says_what_it_is_modelled_on():
    (note,) = plan([ReLU()], (1, 2), training=True).notes
    assert "autograd" in note
