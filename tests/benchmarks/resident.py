"""ResNet-50 as a resident model, batch 1, beside ONNX Runtime and PyTorch in their processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import convserve_client as cs
import onnxruntime
import torch
from convserve import layers
from convserve.tensors import spec_of
from convserve_server.engines.cpu.graph import build_graph
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import Program, Step
from torch.nn import functional as F  # noqa: N812  # as everyone writes it

from tests.benchmarks import works
from tests.benchmarks.callers import Caller
from tests.benchmarks.options import Options
from tests.benchmarks.remote import interleave, remote
from tests.benchmarks.rounds import run_threads
from tests.benchmarks.rows import Row, Series, at_most

THREADS = 2


@contextmanager
def ours() -> Iterator[Caller]:
    """By a server of one's own."""
    network, weights, x = works.residual()
    with cs.local(threads=THREADS) as client, client.load(network, weights) as model:

        def call() -> None:
            model(x)

        yield partial(run_threads, call)


@contextmanager
def onnx_runtime() -> Iterator[Caller]:
    """The same ONNX graph, its weights constants, by ONNX Runtime with its own settings."""
    program, weights, x = _program()
    results = tuple(step.output for step in program.steps if step.output.name in program.outputs)
    graph = build_graph(program.steps, results)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[s.name]) for s in graph.parameters]
    options.add_external_initializers([spec.name for spec in graph.parameters], values)
    session = onnxruntime.InferenceSession(graph.with_constants, options, ["CPUExecutionProvider"])
    names = [name for _, name in graph.outputs]
    (source,) = graph.inputs

    def call() -> None:
        session.run(names, {source.name: x})

    yield partial(run_threads, call)


@contextmanager
def torch_eager() -> Iterator[Caller]:
    """Layer by layer by PyTorch."""
    program, weights, x = _program()
    torch.set_num_threads(THREADS)
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    source = torch.from_numpy(x)

    def call() -> None:
        with torch.inference_mode():
            values = {program.inputs[0].name: source}
            for step in program.steps:
                values[step.output.name] = _apply(step, values, tensors)

    yield partial(run_threads, call)


def measure(options: Options) -> list[Row]:
    """Milliseconds of a call."""
    with remote(ours) as local, remote(onnx_runtime) as ort, remote(torch_eager) as eager:
        rounds = interleave(
            options.pick(31, 3),
            {
                "convserve": partial(local, 1, 1),
                "ONNX Runtime": partial(ort, 1, 1),
                "torch eager": partial(eager, 1, 1),
            },
        )
    mine, first, second = (
        Series(name, "ms", [each["times"][0] * 1e3 for each in all_])
        for name, all_ in rounds.items()
    )
    what = "ResNet-50 through shared memory"
    return [Row(what, mine, first, at_most(1.15)), Row(what, mine, second, at_most(1))]


def _program() -> tuple[Program, dict[str, Any], Any]:
    network, weights, x = works.residual()
    specs = [spec_of(name, each) for name, each in {network.inputs[0]: x, **weights}.items()]
    return compile_network(network, specs), weights, x


def _apply(step: Step, values: dict[str, Any], weights: dict[str, Any]) -> Any:
    """One layer of ResNet-50; its padding is as much on both sides."""
    x, *others = (values[spec.name] for spec in step.inputs)
    parameters = {s.name.rpartition(".")[2]: weights[s.name] for s in step.parameters}
    padding = [low for low, _ in getattr(step.layer, "padding", ())]
    match step.layer:
        case layers.Conv(stride=stride):
            return F.conv2d(x, **parameters, stride=stride, padding=padding)
        case layers.BatchNorm(eps=eps):
            return F.batch_norm(x, **parameters, eps=eps)
        case layers.MaxPool(kernel_size=kernel_size, stride=stride):
            return F.max_pool2d(x, kernel_size, stride, padding)
        case layers.ReLU():
            return F.relu(x)
        case layers.Add():
            return torch.add(x, *others)
        case layers.GlobalAvgPool():
            return x.mean((2, 3), keepdim=True)
        case layers.Flatten():
            return x.flatten(1)
        case layers.Dense():
            return F.linear(x, **parameters)
    raise TypeError(f"{step.layer!r} is not of ResNet-50")
