"""Write docs/examples/vgg16.onnx: VGG-16 with any batch, all its weights 0.01.

.venv/bin/python docs/examples/vgg16.py

Weights of one value are told in a few bytes each, so the file is small; it plans as the trained
network does. Layers have the names of the paper's configuration D (arXiv 1409.1556).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

FILE = Path(__file__).with_suffix(".onnx")
BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
DENSE = (4096, 4096, 1000)


def nodes() -> Iterator[Any]:
    """The nodes in their order, those that make the weights before those that read them."""
    value, channels = "data", 3
    for block, sizes in enumerate(BLOCKS, 1):
        for index, size in enumerate(sizes, 1):
            name = f"{block}_{index}"
            yield from weights(f"conv{name}", (size, channels, 3, 3))
            yield node("Conv", f"conv{name}", value, pads=[1, 1, 1, 1])
            yield helper.make_node("Relu", [f"conv{name}"], [f"relu{name}"], f"relu{name}")
            value, channels = f"relu{name}", size
        name = f"pool{block}"
        yield helper.make_node(
            "MaxPool", [value], [name], name, kernel_shape=[2, 2], strides=[2, 2]
        )
        value = name
    yield helper.make_node("Flatten", [value], ["flatten"], "flatten")
    value, features = "flatten", channels * 7 * 7
    for index, size in enumerate(DENSE, 6):
        yield from weights(f"fc{index}", (size, features))
        yield node("Gemm", f"fc{index}", value, transB=1)
        value, features = f"fc{index}", size
        if size != DENSE[-1]:
            yield helper.make_node("Relu", [value], [f"relu{index}"], f"relu{index}")
            value = f"relu{index}"


def node(operator: str, name: str, value: str, **attributes: Any) -> Any:
    """A node with weights, named like its result."""
    inputs = [value, f"{name}.weight", f"{name}.bias"]
    return helper.make_node(operator, inputs, [name], name, **attributes)


def weights(layer: str, shape: Sequence[int]) -> Iterator[Any]:
    """The weight and the bias of a layer, as one value and a shape each."""
    value = numpy_helper.from_array(np.array([0.01], np.float32))
    for name, sizes in ((f"{layer}.weight", shape), (f"{layer}.bias", shape[:1])):
        array = numpy_helper.from_array(np.array(sizes, np.int64))
        yield helper.make_node("Constant", [], [f"{name}.shape"], value=array)
        yield helper.make_node("ConstantOfShape", [f"{name}.shape"], [name], value=value)


def main() -> None:
    """Write the file."""
    graph = helper.make_graph(
        list(nodes()),
        "vgg16",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info(f"fc{5 + len(DENSE)}", TensorProto.FLOAT, ["N", DENSE[-1]])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), FILE)


if __name__ == "__main__":
    main()
