"""The networks that the onnx package brings, without weights, and random ones for them.

`python -m tests.conformance.light_models` runs all nine on the CPU engine and ONNX Runtime, which
takes a minute and 3 GiB; the tests run the smaller ones.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from convserve.tensors import Array, Shape
from convserve_server.engines import load_engine
from convserve_server.engines.base import Engine
from onnx import numpy_helper

from tests.onnx_models import read, results_of, runtime_results

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
NAMES = (
    *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
    *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
)
PERIOD = 999_983  # a prime, so that no row of a matrix is like another


SMALL = tuple(name for name in NAMES if name not in ("bvlc_alexnet", "vgg19", "zfnet512"))


def light_file(name: str) -> bytes:
    """The file as it is: each weight a ConstantOfShape."""
    return (FOLDER / f"light_{name}.onnx").read_bytes()


def with_random_weights(name: str) -> Any:
    """The model with initializers in place of its constant weights.

    They keep the size of what flows through: He's deviation for kernels, variances about 1, factors
    about 1 or, where branches are summed, 1/2. So the results are no mere ones and zeros.
    """
    model = onnx.ModelProto.FromString(light_file(name))
    graph, random = model.graph, np.random.default_rng(NAMES.index(name))
    shapes = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    norms = [node for node in graph.node if node.op_type == "BatchNormalization"]
    factor = 0.5 if any(node.op_type == "Sum" for node in graph.node) else 1.0
    levels = {node.input[1]: factor for node in norms} | {node.input[4]: 1.0 for node in norms}
    for made in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        (output,) = made.output
        values = _values(random, tuple(shapes[made.input[0]]), levels.get(output))
        graph.initializer.add(
            name=output, data_type=1, dims=values.shape, raw_data=values.tobytes()
        )
        graph.node.remove(made)
    return model


def _values(random: np.random.Generator, shape: Shape, level: float | None) -> Array:
    """Values about `level`; of a kernel or a bias without it. Large ones repeat themselves."""
    count = math.prod(shape)
    some = random.standard_normal(min(count, PERIOD), np.float32)
    values = np.resize(some, shape)
    if level is not None:
        return np.float32(level) * (0.9 + np.float32(0.2) * np.abs(values))
    if len(shape) < 2:
        return np.float32(0.1) * values
    return np.float32((2 / math.prod(shape[1:])) ** 0.5) * values


def compare(name: str, engine: Engine) -> tuple[Array, Array]:
    """What an engine and ONNX Runtime make of the same file and input."""
    model = with_random_weights(name)
    (given,) = read(model).network.inputs
    x = np.random.default_rng(7).standard_normal((1, 3, 224, 224), np.float32)
    (result,) = results_of(model, engine, {given: x})
    (expected,) = runtime_results(model, {given: x})
    return result, expected


def main() -> None:
    """Print how far the results are from each other."""
    engine = load_engine("cpu")
    for name in NAMES:
        result, expected = compare(name, engine)
        difference = np.abs(result - expected).max()
        print(f"{name}: {difference:.1e} of {np.abs(expected).max():.1e}", flush=True)


if __name__ == "__main__":
    main()
