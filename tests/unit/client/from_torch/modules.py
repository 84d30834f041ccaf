"""Small modules that between them call what `from_torch` knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # as everyone calls it

from tests.torch_networks import torchvision

RANK_1, RANK_2, RANK_3 = (2, 4, 12), (2, 4, 9, 8), (2, 3, 5, 6, 7)


class Call(nn.Module):
    """A function of x, and of other modules and parameters by name, as a module."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        self.names = tuple(parts)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, **{name: getattr(self, name) for name in self.names})


class OfShapes(nn.Module):
    """A module whose Python asks for the input's shape, which torch.fx cannot follow."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x) if x.shape[-1] > 1 else x


class UNet(nn.Module):
    """Two levels, with the padding that odd sizes need before they are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(True))
        self.pool = nn.MaxPool2d(2)
        self.bottom = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(True))
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = self.down(x)
        right = self.up(self.bottom(self.pool(left)))
        high, wide = (left.size(axis) - right.size(axis) for axis in (2, 3))
        borders = [wide // 2, wide - wide // 2, high // 2, high - high // 2]
        return self.head(torch.cat([left, F.pad(right, borders)], dim=1))


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 0.5)


def _shuffled(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


def _unpooled(x: torch.Tensor, pool: nn.Module, unpool: nn.Module) -> torch.Tensor:
    values, indices = pool(x)
    return unpool(values, indices, output_size=x.shape)


def _changed_in_place(x: torch.Tensor, relu: nn.Module) -> torch.Tensor:
    a = x * 2
    b = relu(a)  # a is b from here on
    before = a + 1
    b += x
    c = x * 3
    F.relu(c, True)
    return before + a + c


# name -> the module, and the shape of its input
MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (nn.Conv1d(4, 6, 3, 2, 1, 2, 2), RANK_1),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), padding_mode="reflect"), RANK_2),
    "conv3d": (nn.Conv3d(3, 4, 3, padding="same", padding_mode="circular"), RANK_3),
    "conv same": (nn.Conv2d(4, 3, (4, 2), padding="same", bias=False), RANK_2),
    "conv_transpose1d": (nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, True, 1), RANK_1),
    "conv_transpose2d": (nn.ConvTranspose2d(4, 6, 3, 2, 1, dilation=2), RANK_2),
    "conv_transpose3d": (nn.ConvTranspose3d(3, 4, 2, 2), RANK_3),
    "conv_transpose to a size": (
        Call(lambda x, up: up(x, output_size=[18, 16]), up=nn.ConvTranspose2d(4, 6, 3, 2, 1)),
        RANK_2,
    ),
    "pools of 1 axis": (nn.Sequential(nn.MaxPool1d(3, 2, 1, 2), nn.AvgPool1d(2, 1, 1)), RANK_1),
    "pools of 2 axes": (
        nn.Sequential(
            nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 1, 1, count_include_pad=False)
        ),
        RANK_2,
    ),
    "pools of 3 axes": (nn.Sequential(nn.MaxPool3d(2), nn.AvgPool3d((1, 2, 2), 1)), RANK_3),
    "adaptive pools": (
        nn.Sequential(nn.AdaptiveAvgPool2d((5, None)), nn.AdaptiveMaxPool2d((3, 2))),
        RANK_2,
    ),
    "global pools": (
        Call(
            lambda x, avg, high: avg(x) + high(x),
            avg=nn.AdaptiveAvgPool2d(1),
            high=nn.AdaptiveMaxPool2d(1),
        ),
        RANK_2,
    ),
    "max_unpool": (
        Call(_unpooled, pool=nn.MaxPool2d(2, return_indices=True), unpool=nn.MaxUnpool2d(2)),
        RANK_2,
    ),
    "unfold": (nn.Unfold((3, 2), 1, 1, 2), RANK_2),
    "fold": (nn.Sequential(nn.Unfold(3, padding=1), nn.Fold((9, 8), 3, padding=1)), RANK_2),
    "batch_norm": (nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)), RANK_2),
    "batch_norm of features": (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48)), RANK_1),
    "layer_norm": (
        nn.Sequential(
            nn.LayerNorm([9, 8]),
            nn.LayerNorm(8, bias=False),
            nn.LayerNorm([4, 9, 8], elementwise_affine=False),
        ),
        RANK_2,
    ),
    "layer_norm of channels": (torchvision().models.convnext.LayerNorm2d(4), RANK_2),
    "group_norm": (nn.Sequential(nn.GroupNorm(2, 4), nn.GroupNorm(4, 4, affine=False)), RANK_2),
    "instance_norm": (
        nn.Sequential(
            nn.InstanceNorm2d(4),
            nn.InstanceNorm2d(4, affine=True),
            nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        ),
        RANK_2,
    ),
    "local_response_norm": (nn.LocalResponseNorm(3, 0.25, 0.5, 2.0), RANK_2),
    "frozen batch_norm": (torchvision().ops.FrozenBatchNorm2d(4), RANK_2),
    "activations": (
        nn.Sequential(
            *(nn.LeakyReLU(0.2), nn.ReLU6(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh()),
            *(nn.ELU(0.5), nn.Softplus(2.0), nn.Hardsigmoid(), nn.Hardswish(), nn.Mish()),
            nn.Hardtanh(-0.5, 0.7),
        ),
        RANK_2,
    ),
    "functions": (
        Call(
            lambda x: (
                F.softplus(F.elu(F.leaky_relu(F.relu(x) - 1, 0.1)))
                + F.silu(x).sigmoid()
                + torch.tanh(x).abs().sqrt()
                + torch.exp(-x)
                + x.pow(2)
                + (x**2 + 1).log()
                + torch.erf(x)
                + torch.clamp(x, -1, 1)
                + 1 / (x.square() + 1)
                + F.hardtanh(input=x)
                + F.gelu(x)
            )
        ),
        RANK_2,
    ),
    "prelu": (nn.Sequential(nn.PReLU(), nn.PReLU(4)), RANK_2),
    "softmax": (nn.Sequential(nn.Softmax2d(), nn.Softmax(-1), nn.LogSoftmax(2)), RANK_2),
    "linear": (nn.Sequential(nn.Linear(8, 5), nn.Flatten(), nn.Linear(180, 3, False)), RANK_2),
    "joins": (
        Call(
            lambda x: torch.cat([torch.cat([x, 2 * x], -1), torch.stack([x, x], 3).flatten(2)], 1)
        ),
        RANK_1,
    ),
    "arithmetic": (
        Call(
            lambda x, g: (x * g + x - 0.5 * x) / (x * x + 1) - g / 3 + (2 - x) + x / x.abs().add(1),
            g=_parameter(4, 1, 1),
        ),
        RANK_2,
    ),
    "constants along the last axis": (
        Call(lambda x, g: (x.permute(0, 2, 3, 1) * g).permute(0, 3, 1, 2), g=_parameter(4)),
        RANK_2,
    ),
    "reductions": (
        Call(
            lambda x: (
                x.mean([2, 3])
                + x.mean((2, 3), keepdim=True).flatten(1)
                + x.amax((-1, -2))
                + x.sum(dim=(2, 3))
            )
        ),
        RANK_2,
    ),
    "views": (
        Call(
            lambda x: (
                x.view(x.size(0), 2, -1, 9, 8)
                .transpose(1, 2)
                .reshape(x.shape[0], 4, 9, 8)
                .flatten(2)
                .unsqueeze(-1)
                .squeeze(-1)
            )
        ),
        RANK_2,
    ),
    "parts": (
        Call(
            lambda x: (
                torch.cat(x.chunk(2, dim=1)[::-1], 1)
                + torch.cat(torch.split(x, [1, 3], 1), 1)
                + torch.cat(x.split(3, 1), 1)
            )
        ),
        RANK_2,
    ),
    "indices": (
        Call(
            lambda x: (
                x[:, 0, 1:-1, ::2]
                + x[:, 1, None, 1:-1, ::2].squeeze(1)
                + x[:, -1][..., 1:-1, ::2]
                + x.narrow(1, 2, 1).select(1, 0)[:, 1:8, 0:8:2]
            )
        ),
        RANK_2,
    ),
    "interpolate by a factor": (
        Call(
            lambda x: (
                F.interpolate(x, scale_factor=2)
                + F.interpolate(x, scale_factor=2, mode="bilinear")
                + F.interpolate(x, size=(18, 16), mode="bicubic")
                + F.interpolate(x, size=(18, 16), mode="bilinear", align_corners=True)
                + F.interpolate(x, size=(18, 16), mode="nearest-exact")
            )
        ),
        RANK_2,
    ),
    "interpolate to a size": (
        Call(
            lambda x: (
                F.interpolate(x, size=(7, 13))
                + F.interpolate(x, size=(7, 13), mode="bilinear")
                + F.interpolate(x, size=(7, 13), mode="bicubic", align_corners=True)
                + F.interpolate(x, size=(7, 13), mode="nearest-exact")
                + F.interpolate(x, size=(7, 13), mode="area")
            )
        ),
        RANK_2,
    ),
    "upsample 1 axis": (
        nn.Sequential(nn.Upsample(scale_factor=3, mode="linear"), nn.Upsample(scale_factor=0.5)),
        RANK_1,
    ),
    "upsample 3 axes": (
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
        RANK_3,
    ),
    "shuffles": (
        nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)),
        RANK_2,
    ),
    "shuffle as views": (Call(_shuffled), RANK_2),
    "pads": (
        nn.Sequential(
            nn.ZeroPad2d((1, 2, 0, 1)),
            nn.ReflectionPad2d(1),
            nn.ReplicationPad2d((0, 1, 2, 0)),
            nn.CircularPad2d(1),
            nn.ConstantPad2d(1, 3.5),
        ),
        RANK_2,
    ),
    "negative padding": (Call(lambda x: F.pad(x, (1, -1, -2, 3), value=1.0)), RANK_2),
    "padded channels": (Call(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2))), RANK_2),
    "squeeze and excitation": (torchvision().ops.SqueezeExcitation(4, 2), RANK_2),
    "expand": (
        Call(lambda x, pool: x * pool(x).sigmoid().expand_as(x), pool=nn.AdaptiveAvgPool2d(1)),
        RANK_2,
    ),
    "what eval mode leaves out": (
        nn.Sequential(
            *(nn.Dropout(), nn.Conv2d(4, 4, 1), nn.Dropout2d(), nn.Identity(), nn.AlphaDropout()),
            torchvision().ops.StochasticDepth(0.5, "row"),
        ),
        RANK_2,
    ),
    "changes in place": (Call(_changed_in_place, relu=nn.ReLU(inplace=True)), RANK_2),
    "weights that are computed": (
        Call(lambda x, w: F.conv2d(x, w * 2 - w.mean(), padding=1), w=_parameter(5, 4, 3, 3)),
        RANK_2,
    ),
    "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 3, 3)), RANK_2),
    "u-net": (UNet(), RANK_2),
}
