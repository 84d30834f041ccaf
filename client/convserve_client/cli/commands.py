"""What each command does: files in, one call, files or text out."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from convserve.errors import InvalidArgumentError, ShapeError, TooLargeError
from convserve.exports import FORMATS, as_document
from convserve.kernel_tables import kernels_table, kernels_text
from convserve.plans import CallRecord, Plan
from convserve.tables import devices_table, explanation_text, info_text, plan_table
from convserve.tensors import Array, dtype_name

from convserve_client._client import Client
from convserve_client._imported import ImportedNetwork
from convserve_client.cli.bench import make_work, measure, report_document, report_text
from convserve_client.cli.explaining import explain_subject
from convserve_client.cli.files import (
    check_output,
    read_tensor,
    read_weights,
    write_tensors,
)
from convserve_client.cli.kernels import KERNELS, stretch


@frozen
class Answer:
    """A command's result: for people, and as plain data for `--json`."""

    text: str
    document: Any


def plan(client: Client, arguments: Namespace) -> Answer:
    """The plan as it was asked for: a table, another format, a picture, or against another one."""
    result = _plan_file(client, arguments, arguments.network)
    if arguments.plot is not None:
        result.plot(arguments.plot)
    if arguments.against is None:
        return Answer(_plan_text(result, arguments), as_document(result))
    comparison = result.compare(_plan_file(client, arguments, arguments.against))
    return Answer(str(comparison), as_document(comparison))


def _plan_file(client: Client, arguments: Namespace, path: Path) -> Plan:
    shapes = _by_name(arguments.input) if arguments.input else None
    return client.plan(
        _read_for_plan(client, path, arguments.layout, shapes),
        shapes,
        arguments.dtype,
        arguments.device,
        layout=arguments.layout,
        explain=arguments.explain,
        kernels=arguments.kernels,
        precision=arguments.precision,
        max_batch=arguments.max_batch,
        training=arguments.training,
        optimizer=arguments.optimizer,
    )


def _plan_text(result: Plan, arguments: Namespace) -> str:
    if arguments.format in FORMATS:
        return FORMATS[arguments.format](result)
    text = plan_table(result)
    if arguments.explain:
        text += f"\n\n{explanation_text(result)}"
    if arguments.kernels:
        text += f"\n\n{_kernels_text(result, arguments.explain)}"
    return text


def _kernels_text(plan: Plan, full: bool) -> str:
    """What runs each layer; if `full`, everything that is offered for each."""
    if not any(layer.kernels for layer in plan.layers):
        return "no kernels are known: the notes above say why"
    if not full:
        return kernels_text(plan)
    tables = (f"{layer.name}\n{kernels_table(layer)}" for layer in plan.layers if layer.kernels)
    return "\n\n".join(tables)


def explain(client: Client, arguments: Namespace) -> Answer:
    """One layer's formulas, its other spellings, and what would make it possible."""
    result = explain_subject(client, arguments, _by_name(arguments.input))
    if arguments.plot is not None:
        result.plot(arguments.plot)
    return Answer(str(result), as_document(result))


def find(client: Client, arguments: Namespace) -> Answer:
    """The layers that make one size of another."""
    result = client.find_layers(
        arguments.input,
        arguments.output,
        arguments.transposed,
        max_kernel_size=arguments.max_kernel_size,
        max_stride=arguments.max_stride,
        max_padding=arguments.max_padding,
        max_dilation=arguments.max_dilation,
        max_count=arguments.count,
    )
    return Answer(str(result), as_document(result))


def run(client: Client, arguments: Namespace) -> Answer:
    """Run a network and write its results."""
    network = client.read_network(arguments.network)
    check_output(arguments.output, len(network.outputs))
    files = _by_name(arguments.input)
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
    "explain": explain,
    "find": find,
    "run": run,
    "conv": conv,
    "convolve": convolve,
    "info": info,
    "devices": devices,
    "bench": bench,
}


def _read_for_plan(client: Client, path: Path, layout: str, shapes: Any) -> ImportedNetwork:
    """The network of a file, without its weights; ONNX may need the inputs' shapes to be read."""
    is_first = layout == "channels_first"
    given = shapes if path.suffix.lower() == ".onnx" and is_first else None
    return client.read_network(path, input_shape=given, keep_weights=False)


def _by_name(pairs: list[tuple[str, Any]]) -> Any:
    """The values by name; the value alone where there is one without a name."""
    if len(pairs) == 1 and not pairs[0][0]:
        return pairs[0][1]
    names = [name for name, _ in pairs]
    if "" in names or len(set(names)) < len(names):
        raise InvalidArgumentError(
            "with several inputs each needs a name of its own: NAME=...", field="--input"
        )
    return dict(pairs)


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
    how = ", ".join(f"{step.name} by {step.engine} {step.algorithm}" for step in record.steps)
    lines.append(f"{how}; {record.compute_seconds * 1e3:.3g} ms")
    document = {"file": str(path), "outputs": described, "record": asdict(record)}
    return Answer("\n".join(lines), document)
