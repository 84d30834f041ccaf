"""The commands `plan` and `tiles`: a network out of a file, what it needs, and how it is cut."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.explaining import plan_explanation_text
from convserve.exports import FORMATS, as_document
from convserve.kernel_tables import kernels_table, kernels_text
from convserve.plans import Plan
from convserve.tables import plan_table

from convserve_client._client import Client
from convserve_client._imported import ImportedNetwork
from convserve_client.cli.answer import Answer
from convserve_client.cli.values import by_name


def plan(client: Client, arguments: Namespace) -> Answer:
    """The plan as it was asked for: a table, another format, a picture, or against another one."""
    _check_views(arguments)
    result = _plan_file(client, arguments, arguments.network)
    if arguments.plot is not None:
        result.plot(arguments.plot)
    if arguments.against is None:
        return Answer(_plan_text(result, arguments), as_document(result))
    comparison = result.compare(_plan_file(client, arguments, arguments.against))
    return Answer(str(comparison), as_document(comparison))


def tiles(client: Client, arguments: Namespace) -> Answer:
    """The tiles of a network that fit a memory limit."""
    shapes = by_name(arguments.input)
    result = client.tiles(
        read_described(client, arguments.network, shapes),
        shapes,
        memory_limit=arguments.memory,
        axes=arguments.axes,
        dtype=arguments.dtype,
        layers=arguments.layers,
    )
    return Answer(str(result), as_document(result))


def read_described(client: Client, path: Path, shapes: Any) -> ImportedNetwork:
    """The network of a file, without its weights; ONNX may need the inputs' shapes to be read."""
    told = shapes if path.suffix.lower() == ".onnx" else None
    return client.read_network(path, input_shape=told, keep_weights=False)


def _check_views(arguments: Namespace) -> None:
    """Raise InvalidArgumentError for views that exclude one another: none is silently left out."""
    form, in_full = arguments.format, arguments.explain or arguments.kernels
    if arguments.against is not None and (form != "table" or in_full):
        raise InvalidArgumentError(
            "a comparison has no --format, --explain or --kernels; --json prints all of it",
            field="--against",
        )
    if arguments.json and form not in ("table", "json"):
        raise InvalidArgumentError(f"--json prints JSON, not {form}: give one", field="--format")
    if in_full and form not in ("table", "json"):
        raise InvalidArgumentError(
            f"{form} has no --explain and no --kernels; the table and json have", field="--format"
        )


def _plan_file(client: Client, arguments: Namespace, path: Path) -> Plan:
    shapes = by_name(arguments.input)
    told = shapes if arguments.layout == "channels_first" else None  # files are channels first
    return client.plan(
        read_described(client, path, told),
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
        text += f"\n\n{plan_explanation_text(result)}"
    if arguments.kernels:
        text += f"\n\n{_kernels_text(result, arguments.explain)}"
    return text


def _kernels_text(plan: Plan, full: bool) -> str:
    """What runs each layer; all that is offered for it, if `full`."""
    if not any(layer.kernels for layer in plan.layers):
        return "no kernels are known: the notes above say why"
    if not full:
        return kernels_text(plan)
    tables = (f"{layer.name}\n{kernels_table(layer)}" for layer in plan.layers if layer.kernels)
    return "\n\n".join(tables)
