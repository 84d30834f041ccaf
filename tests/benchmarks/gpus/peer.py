"""torch at its best on the same work: channels last, cuDNN's search on, and recorded too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from convserve.layers import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    ReLU,
)
from convserve_server.planning.graph import Node
from torch import Tensor
from torch.nn import functional

from tests.benchmarks.gpus.ours import repeated
from tests.benchmarks.gpus.works import Work

_CONV: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def torch_seconds(work: Work, *, recorded: bool) -> float:
    """How long torch takes on the GPU: op by op, or as a CUDA graph."""
    import cupy

    allow = work.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = allow
    torch.backends.cuda.matmul.allow_tf32 = allow
    values = {name: _tensor(array, work.dtype) for name, array in work.tensors().items()}
    nodes = work.nodes()
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):  # the search
            run_nodes(nodes, values)
        run: Callable[[], object] = lambda: run_nodes(nodes, values)  # noqa: E731
        if recorded:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                run()
            run = graph.replay
        return repeated(run, cupy.cuda.ExternalStream(stream.cuda_stream))


def run_nodes(nodes: Sequence[Node], values: Mapping[str, Tensor]) -> Tensor:
    """The network, layer by layer; what is no longer read is let go."""
    known = dict(values)
    last = {sample.name: index for index, node in enumerate(nodes) for sample in node.inputs}
    for index, node in enumerate(nodes):
        inputs = [known[sample.name] for sample in node.inputs]
        weights = {spec.name.rpartition(".")[2]: known[spec.name] for spec in node.parameters}
        result = _run(node.layer, inputs, weights)
        for sample in node.inputs:
            if last[sample.name] == index:
                known.pop(sample.name, None)
        known[node.output.name] = result
    return result


def _run(layer: Layer, inputs: list[Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    x = inputs[0]
    match layer:
        case Conv() | ConvTranspose():
            return _convolve(layer, x, weights["weight"], weights.get("bias"))
        case BatchNorm():
            mean, variance = weights["running_mean"], weights["running_var"]
            return functional.batch_norm(x, mean, variance, weights["weight"], weights["bias"])
        case ReLU():
            return functional.relu(x, inplace=True)
        case MaxPool():
            sizes = (list(layer.kernel_size), list(layer.stride or ()), _lows(layer.padding))
            return functional.max_pool2d(x, *sizes)
        case GlobalAvgPool():
            return x.mean(dim=(2, 3), keepdim=True)
        case Flatten():
            return x.flatten(1)
        case Dense():
            return functional.linear(x, weights["weight"], weights.get("bias"))
        case Add():
            return inputs[0] + inputs[1]
        case Concat():
            return torch.cat(inputs, 1)
    raise TypeError(f"torch is not told how to run {type(layer).__name__}")


def _convolve(
    layer: Conv | ConvTranspose, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    if isinstance(layer, ConvTranspose):
        return functional.conv_transpose2d(x, weight, bias, layer.stride)
    convolve = _CONV[x.dim() - 2]
    sizes = (layer.stride, _lows(layer.padding), layer.dilation)
    return convolve(x, weight, bias, *sizes, layer.groups)


def _lows(padding: Any) -> list[int]:
    """Padding is the same at both ends here."""
    return [low for low, _ in padding]


def _tensor(array: Any, dtype: str) -> Tensor:
    made = torch.from_numpy(array.astype("float32")).to("cuda", _DTYPES[dtype])
    return made.contiguous(memory_format=_FORMATS.get(made.dim(), torch.contiguous_format))
