"""Networks whose counts are published, by the examples' files; and long ones.

Inputs of the published ones are (N, 3, 224, 224), those of the long ones have 8 channels.
"""

from __future__ import annotations

import json
from pathlib import Path

from convserve.layers import Add, BatchNorm, Concat, Conv, ConvTranspose, Layer, MaxPool, ReLU
from convserve.networks import Network

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"


def alexnet() -> Network:
    """torchvision's AlexNet: 61,100,840 parameters. Its adaptive pool does nothing at 224."""
    return _read("alexnet")


def vgg16() -> Network:
    """torchvision's VGG-16: 138,357,544 parameters. Its adaptive pool does nothing at 224."""
    return _read("vgg16")


def resnet50() -> Network:
    """torchvision's ResNet-50: 25,557,032 parameters, 4,089,184,256 multiply-accumulates."""
    return _read("resnet50")


def unet(channels: int = 32, depth: int = 4, classes: int = 2) -> Network:
    """Ronneberger's U-Net with padding and batch norm: `depth` halvings, as many transposed
    convolutions of 2x2, and skips joined by concatenation. Sizes must be multiples of 2**depth.
    """
    found: list[Layer] = []

    def block(name: str, width: int) -> None:
        for part in ("a", "b"):
            found.extend(
                [
                    Conv(width, 3, padding=1, bias=False, name=f"{name}.conv_{part}"),
                    BatchNorm(name=f"{name}.norm_{part}"),
                    ReLU(name=f"{name}.relu_{part}"),
                ]
            )

    for level in range(depth):
        block(f"down{level}", channels << level)
        found.append(MaxPool(2, name=f"pool{level}"))
    block("middle", channels << depth)
    for level in reversed(range(depth)):
        found.append(ConvTranspose(channels << level, 2, stride=2, name=f"up{level}.conv"))
        found.append(
            Concat(name=f"up{level}.join", inputs=(f"down{level}.relu_b", f"up{level}.conv"))
        )
        block(f"up{level}", channels << level)
    return Network([*found, Conv(classes, 1, name="head")])


def chain(count: int) -> Network:
    """So many layers, convolutions and ReLUs in turn, one behind the other."""
    pairs = ((Conv(8, 3, padding=1), ReLU()) for _ in range(count // 2))
    return Network([layer for pair in pairs for layer in pair])


def residual(count: int) -> Network:
    """So many layers, and one more, in blocks of four that add to what they read."""
    layers: list[Layer] = [ReLU(name="sum0")]
    for block in range(1, count // 4 + 1):
        source = f"sum{block - 1}"
        layers += [
            Conv(8, 3, padding=1, name=f"a{block}", inputs=source),
            ReLU(name=f"b{block}"),
            Conv(8, 3, padding=1, name=f"c{block}"),
            Add(name=f"sum{block}", inputs=(source, f"c{block}")),
        ]
    return Network(layers)


def _read(name: str) -> Network:
    return Network.from_dict(json.loads((EXAMPLES / f"{name}.json").read_text()))
