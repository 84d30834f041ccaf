"""What cuDNN 9.19.0 chooses for ResNet-50 on an H200, as data: `python -m tests.cudnn.expected`.

Written anew when the version of cuDNN or the properties of the H200 change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

from convserve_server.planning.gpu import DIRECTIONS, wanted
from convserve_server.planning.kernels import Convolution, KernelPlanner, Policy, choose

from tests.networks import resnet50
from tests.planning import steps_of

ROOT = Path(__file__).parents[2]
PATH = ROOT / "tests/data/resnet50_h200_kernels.json"
BATCH = 32
CASES = (("float32", "strict"), ("float32", "tf32"), ("float16", "strict"), ("bfloat16", "strict"))
LIMIT = 16 << 30

Rows: TypeAlias = list[list[object]]


def resnet50_convolutions(dtype: str, direction: str) -> list[Convolution]:
    """The different convolutions of ResNet-50, in the order in which they run."""
    network = resnet50()
    steps = steps_of(network, (BATCH, 3, 224, 224), dtype)
    return [each for each in wanted(steps, training=True) if each.direction == direction]


def choices(
    planner: KernelPlanner, dtype: str, precision: str, direction: str
) -> list[list[object]]:
    """The chosen kernel of each: input, weight and output shape, name, workspace, rank, offers."""
    found: Rows = []
    for convolution in resnet50_convolutions(dtype, direction):
        kernels = choose(planner.offer(convolution), dtype, direction, Policy(precision, LIMIT))
        (chosen,) = [kernel for kernel in kernels if kernel.chosen]
        shapes = [list(shape) for shape in (convolution.input, convolution.weight)]
        numbers = [chosen.name, chosen.workspace_bytes, chosen.rank, len(kernels)]
        found.append([*shapes, list(convolution.output), *numbers])
    return found


def all_choices(planner: KernelPlanner) -> dict[str, Rows]:
    """Those of every dtype, precision and direction."""
    return {
        f"{dtype} {precision} {direction}": choices(planner, dtype, precision, direction)
        for dtype, precision in CASES
        for direction in DIRECTIONS
    }


def _write() -> None:
    from convserve_server.planners.cudnn.planner import CudnnPlanner
    from convserve_server.planning.devices.properties import device_properties

    found = all_choices(CudnnPlanner(device_properties("h200")))
    blocks = (
        f"{json.dumps(case)}: [\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n ]"
        for case, rows in found.items()
    )
    PATH.write_text("{\n " + ",\n ".join(blocks) + "\n}\n")


if __name__ == "__main__":
    _write()
