"""What each command does: files in, one call, files or text out."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict
from convserve.errors import InvalidArgumentError, ShapeError, TooLargeError
from convserve.exports import as_document
from convserve.runs import CallRecord, StepRecord
from convserve.tables import devices_table, info_text
from convserve.tensors import Array, dtype_name

from convserve_client._client import Client
from convserve_client.cli.answer import Answer
from convserve_client.cli.bench import make_work, measure, report_document, report_text
from convserve_client.cli.explaining import explain, find
from convserve_client.cli.files import (
    check_output,
    read_tensor,
    read_weights,
    write_tensors,
)
from convserve_client.cli.kernels import KERNELS, stretch
from convserve_client.cli.planning import plan, tiles
from convserve_client.cli.values import by_name

MAX_NAMED_STEPS = 5


def run(client: Client, arguments: Namespace) -> Answer:
    """Run a network and write its results."""
    network = client.read_network(arguments.network)
    check_output(arguments.output, len(network.outputs))
    files = by_name(arguments.input)
    tensors = (
        {name: read_tensor(path) for name, path in files.items()}
        if isinstance(files, Mapping)
        else read_tensor(files)
    )
    weights = read_weights(arguments.weights) if arguments.weights else None
    with client.trace() as calls:
        result = client.run(
            network, tensors, weights, device=arguments.device, layout=arguments.layout
        )
    outputs = result if isinstance(result, dict) else {network.outputs[0]: result}
    return _written(arguments.output, outputs, calls[-1])


def conv(client: Client, arguments: Namespace) -> Answer:
    """Convolve with the weight of a file, or every channel with a kernel that has a name."""
    check_output(arguments.output)
    x = read_tensor(arguments.input)
    show: Callable[[Array], Array] = stretch
    if arguments.kernel is None:
        options = _weight_options(arguments)
    else:
        options = _kernel_options(arguments, x)
        show = KERNELS[arguments.kernel].show
    with client.trace() as calls:
        result = client.conv(
            x,
            stride=arguments.stride,
            dilation=arguments.dilation,
            activation=arguments.activation,
            device=arguments.device,
            layout=arguments.layout,
            **options,
        )
    return _written(arguments.output, {"output": result}, calls[-1], show)


def convolve(client: Client, arguments: Namespace) -> Answer:
    """Convolve two signals."""
    check_output(arguments.output)
    a, v = read_tensor(arguments.a), read_tensor(arguments.v)
    with client.trace() as calls:
        result = client.convolve(a, v, arguments.mode, arguments.method)
    return _written(arguments.output, {"output": result}, calls[-1])


def info(client: Client, _: Namespace) -> Answer:
    """The server's limits and devices."""
    result = client.info()
    return Answer(info_text(result), as_document(result))


def devices(client: Client, _: Namespace) -> Answer:
    """The devices."""
    result = client.devices()
    return Answer(devices_table(result), as_document(result))


def bench(client: Client, arguments: Namespace) -> Answer:
    """Latency, stages and throughput of one convolution."""
    shape, kernel_size = arguments.shape, arguments.kernel_size
    if len(shape) < 3:
        raise ShapeError(
            f"{shape} has no spatial axes: it must be (N, C, *spatial)",
            field="--shape",
            metadata={"given": shape},
        )
    if isinstance(kernel_size, int):
        kernel_size = (kernel_size,) * (len(shape) - 2)
    limit = client.info().limits.tensor_pool_bytes
    sizes = (shape, (arguments.filters, shape[1], *kernel_size))
    if (needed := 4 * sum(map(math.prod, sizes))) > limit:
        raise TooLargeError(
            f"a call would send {needed:,} bytes, and the server holds {limit:,} in all",
            field="--shape",
            metadata={"needed_bytes": needed, "limit_bytes": limit},
        )
    work = make_work(shape, arguments.filters, kernel_size)
    report = measure(client, work, arguments.calls, arguments.concurrency)
    return Answer(report_text(report), report_document(report))


COMMANDS: dict[str, Callable[[Client, Namespace], Answer]] = {
    "plan": plan,
    "tiles": tiles,
    "explain": explain,
    "find": find,
    "run": run,
    "conv": conv,
    "convolve": convolve,
    "info": info,
    "devices": devices,
    "bench": bench,
}


def _weight_options(arguments: Namespace) -> dict[str, Any]:
    return {
        "weight": read_tensor(arguments.weight),
        "bias": read_tensor(arguments.bias) if arguments.bias else None,
        "padding": arguments.padding or 0,
        "padding_mode": arguments.padding_mode or "zeros",
        "groups": arguments.groups or 1,
    }


def _kernel_options(arguments: Namespace, x: Array) -> dict[str, Any]:
    """A depthwise weight; by default the result has the input's size, its edges repeated."""
    if arguments.bias or arguments.groups:
        raise InvalidArgumentError("--bias and --groups go with --weight", field="--kernel")
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"a kernel is for (N, C, H, W) or (C, H, W), but the input is {x.shape}",
            field=str(arguments.input),
            metadata={"given": x.shape},
        )
    channels = x.shape[-1 if arguments.layout == "channels_last" else -3]
    return {
        "weight": KERNELS[arguments.kernel].weight(channels),
        "padding": "same" if arguments.padding is None else arguments.padding,
        "padding_mode": arguments.padding_mode or "replicate",
        "groups": channels,
    }


def _written(
    path: Path,
    outputs: dict[str, Array],
    record: CallRecord,
    show: Callable[[Array], Array] = stretch,
) -> Answer:
    """Write the results, and say what they are and how they came about."""
    write_tensors(path, outputs, show)
    described = {
        name: {"shape": list(array.shape), "dtype": dtype_name(array.dtype)}
        for name, array in outputs.items()
    }
    lines = [f"{path}: {name} {array.shape} {array.dtype}" for name, array in outputs.items()]
    lines.append(f"{_how(record.steps)}; {record.compute_seconds * 1e3:.3g} ms")
    document = {"file": str(path), "outputs": described, "record": asdict(record)}
    return Answer("\n".join(lines), document)


def _how(steps: Sequence[StepRecord]) -> str:
    """Which steps ran how; of many that ran alike only their number."""
    alike: dict[str, list[str]] = {}
    for step in steps:
        alike.setdefault(f"{step.engine} {step.algorithm}", []).append(step.name)
    return ", ".join(
        f"{', '.join(names) if len(names) <= MAX_NAMED_STEPS else f'{len(names)} steps'} by {how}"
        for how, names in alike.items()
    )
