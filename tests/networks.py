"""Networks whose counts are published: the examples' files. Inputs are (N, 3, 224, 224)."""

from __future__ import annotations

import json
from pathlib import Path

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


def _read(name: str) -> Network:
    return Network.from_dict(json.loads((EXAMPLES / f"{name}.json").read_text()))
