"""PyTriton with an echo and a small convolution by ONNX Runtime: three loopback ports as arguments.

Prints `ready`, and ends when its standard input does. Runs in a virtual environment of its own.
"""

import sys
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from pytriton.decorators import batch  # type: ignore[import-not-found]
from pytriton.model_config import (  # type: ignore[import-not-found]
    DynamicBatcher,
    ModelConfig,
    Tensor,
)
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]

MAX_BATCH = 64
DELAY_MICROSECONDS = 100
THREADS = 2
FILTERS, CHANNELS, KERNEL = 8, 3, 3


def _session() -> onnxruntime.InferenceSession:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((FILTERS, CHANNELS, KERNEL, KERNEL), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, "h", "w_"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", FILTERS, "h", "w_"])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers)


def _bind(
    triton: Any, name: str, work: Any, inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    batcher = DynamicBatcher(max_queue_delay_microseconds=DELAY_MICROSECONDS)
    triton.bind(
        name,
        work,
        [Tensor(name="x", dtype=np.float32, shape=inside)],
        [Tensor(name="y", dtype=np.float32, shape=outside)],
        config=ModelConfig(max_batch_size=MAX_BATCH, batcher=batcher),
    )


def main(http_port: int, grpc_port: int, metrics_port: int) -> None:
    session = _session()

    @batch  # type: ignore[untyped-decorator]
    def echo(x: Any) -> dict[str, Any]:
        return {"y": x}

    @batch  # type: ignore[untyped-decorator]
    def small(x: Any) -> dict[str, Any]:
        return {"y": session.run(None, {"x": x})[0]}

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http_port,
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        _bind(triton, "echo", echo, (-1,), (-1,))
        _bind(triton, "small", small, (CHANNELS, -1, -1), (FILTERS, -1, -1))
        triton.run()
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
