"""Draw the pictures of the documentation into docs/pictures, the same files each time.

.venv/bin/python docs/examples/pictures.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import convserve_client as cs

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "pictures"
DEVICE = "l4"  # a profile: plans for it are the same on every machine

# file -> the network, the shape of its input, what is drawn of its plan, and how it is planned
PLANS: dict[str, tuple[str, tuple[int, ...], str, dict[str, Any]]] = {
    "memory.svg": ("vgg16", (512, 3, 224, 224), "memory", {}),
    "training.svg": ("alexnet", (64, 3, 224, 224), "memory", {"training": True}),
    "shapes.svg": ("resnet50", (1, 3, 224, 224), "shapes", {}),
    "receptive_field.svg": ("vgg16", (1, 3, 224, 224), "fields", {}),
}
# file -> a layer, and the shape of its input
LAYERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "conv.svg": ("nn.Conv2d(3, 8, 3, stride=2, padding=1)", (1, 3, 5, 5)),
    "dilated.svg": ("nn.Conv2d(3, 8, 3, padding=2, dilation=2)", (1, 3, 7, 7)),
    "same.svg": ('Conv2D(8, 4, strides=2, padding="same")', (1, 3, 6, 6)),
    "transposed.svg": (
        "nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1, output_padding=1)",
        (1, 3, 3, 3),
    ),
    "one_axis.svg": ("nn.Conv1d(3, 8, 3, stride=2, padding=1)", (1, 3, 9)),
}


def main() -> None:
    """Draw them all, with a server of its own."""
    TARGET.mkdir(exist_ok=True)
    with cs.local() as client:
        for name, (network, shape, view, options) in PLANS.items():
            layers = json.loads((HERE / f"{network}.json").read_text())
            plan = client.plan(cs.Network.from_dict(layers), shape, device=DEVICE, **options)
            plan.plot(TARGET / name, views=(view,))
        for name, (layer, shape) in LAYERS.items():
            client.explain(layer, shape).plot(TARGET / name)
    for file in sorted(TARGET.iterdir()):
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
