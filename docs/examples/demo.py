"""The demo: plan two networks, filter a photograph, run a network. `make demo` runs this.

Starts a server of its own on the CPU and stops it at the end. Writes pictures to `demo-output/`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import convserve_client as cs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
OUTPUT = Path("demo-output")
Picture = NDArray[np.float32]
T = TypeVar("T")


def kernel(rows: list[list[float]], scale: float = 1.0) -> Picture:
    """A kernel from its rows."""
    return np.array(rows, np.float32) * np.float32(scale)


SOBEL_X = kernel([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1 / 4)
BINOMIAL = kernel([[1, 8, 28, 56, 70, 56, 28, 8, 1]], 1 / 256)

# Each kernel with the offset that makes its result visible: edges lie around zero.
BANK: dict[str, tuple[Picture, float]] = {
    "blur": (BINOMIAL.T @ BINOMIAL, 0.0),
    "sharpen": (kernel([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]), 0.0),
    "edges across": (SOBEL_X, 0.5),
    "edges down": (np.ascontiguousarray(SOBEL_X.T), 0.5),
    "outlines": (kernel([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1 / 2), 0.5),
    "emboss": (kernel([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]), 0.0),
    "motion": (np.eye(15, dtype=np.float32) / np.float32(15), 0.0),
}


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result, and the milliseconds it took."""
    start = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - start) * 1e3


def read_network(name: str) -> cs.Network:
    """One of the networks beside this file."""
    return cs.Network.from_dict(json.loads((HERE / f"{name}.json").read_text()))


def plan_networks(client: cs.Client) -> None:
    """Print the plans of AlexNet and ResNet-50: AlexNet's whole, ResNet-50's totals."""
    plan, milliseconds = timed(lambda: client.plan(read_network("alexnet"), (1, 3, 224, 224)))
    print(f"\nAlexNet, planned in {milliseconds:.1f} ms. Nothing was allocated.\n")
    print(plan)
    print("\nHow its first layer's numbers come about:\n")
    print("\n".join(f"  {line}" for line in plan.layers[0].explanation))
    plan, milliseconds = timed(lambda: client.plan(read_network("resnet50"), ("N", 3, 224, 224)))
    print(f"\nResNet-50 with any batch N, planned in {milliseconds:.1f} ms:\n")
    table = str(plan).splitlines()
    print("\n".join([*table[:9], f"  ... {len(plan.layers)} layers ...", *table[-12:]]))


def filter_photograph(client: cs.Client) -> None:
    """Filter the photograph with each kernel of the bank, channel by channel."""
    photo = np.asarray(Image.open(HERE / "cat.png"), np.float32) / np.float32(255)  # (H, W, 3)
    channels = photo.transpose(2, 0, 1)[None]  # (1, 3, H, W)
    print(f"\nA photograph of {photo.shape[1]} x {photo.shape[0]}, filtered channel by channel:\n")
    pictures = {"photograph": photo}
    for name, (taps, offset) in BANK.items():
        with client.trace() as calls:
            filtered, milliseconds = timed(partial(filter_channels, client, channels, taps))
        pictures[name] = np.clip(filtered[0].transpose(1, 2, 0) + np.float32(offset), 0, 1)
        ran = calls[-1].steps[-1]
        print(
            f"  {name:13s} {taps.shape[0]:2d}x{taps.shape[1]:<2d} {milliseconds:6.1f} ms   "
            f"engine {ran.engine}, algorithm {ran.algorithm}"
        )
    save(pictures)


def filter_channels(client: cs.Client, channels: Picture, taps: Picture) -> Picture:
    """Each channel of (1, 3, H, W) convolved with the same taps."""
    weight = np.repeat(taps[None, None], 3, axis=0)  # (3, 1, k, k): one per group
    return client.conv(channels, weight, padding="same", groups=3, padding_mode="replicate")


def save(pictures: dict[str, Picture]) -> None:
    """Write each picture, and all of them on one sheet."""
    OUTPUT.mkdir(exist_ok=True)
    height, width = next(iter(pictures.values())).shape[:2]
    columns, label = 4, 22
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + label)), "white")
    for index, (name, picture) in enumerate(pictures.items()):
        image = Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
        image.save(OUTPUT / f"{name.replace(' ', '-')}.png")
        left, top = index % columns * width, index // columns * (height + label)
        ImageDraw.Draw(sheet).text((left + 6, top + 5), name, fill="black")
        sheet.paste(image, (left, top + label))
    sheet.save(OUTPUT / "sheet.png")
    print(f"\n  pictures: {OUTPUT}/*.png, all together: {OUTPUT / 'sheet.png'}")


def run_network(client: cs.Client) -> None:
    """Load ResNet-50 with random weights and run it, to show loading once and calling often."""
    network, random = read_network("resnet50"), np.random.default_rng(0)
    plan = client.plan(network, (1, 3, 224, 224), explain=False)
    weights = {
        spec.name: np.abs(random.normal(0.5, 0.1, spec.shape)).astype(np.float32)
        if len(spec.shape) == 1
        else random.normal(0, np.sqrt(1 / np.prod(spec.shape[1:])), spec.shape).astype(np.float32)
        for layer in plan.layers
        for spec in layer.parameters
    }
    image = random.random((1, 3, 224, 224), np.float32)
    model, loading = timed(lambda: client.load(network, weights=weights))
    with model:
        first = timed(lambda: model(image))[1]
        later = min(timed(lambda: model(image))[1] for _ in range(5))
    gflops = 2 * plan.mac_count / later / 1e6
    print(
        f"\nResNet-50 with random weights: loaded in {loading:.0f} ms, first run {first:.0f} ms, "
        f"then {later:.0f} ms ({gflops:.0f} GFLOP/s)."
    )


def main() -> None:
    """Run the demo."""
    client, milliseconds = timed(cs.local)
    with client:
        info = client.info()
        print(
            f"A server of convserve {info.version} is up after {milliseconds:.0f} ms, "
            f"on {info.devices[0].description or info.devices[0].name}."
        )
        plan_networks(client)
        filter_photograph(client)
        run_network(client)


if __name__ == "__main__":
    main()
