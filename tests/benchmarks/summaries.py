"""torchinfo on ResNet-50, for a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torchinfo

from tests.benchmarks.rounds import seconds
from tests.torch_networks import build


@contextmanager
def summaries() -> Iterator[Callable[[], float]]:
    """Seconds for a summary of torchvision's model and one picture, without printing it."""
    module = build("resnet50")
    yield lambda: seconds(lambda: torchinfo.summary(module, (1, 3, 224, 224), verbose=0))
