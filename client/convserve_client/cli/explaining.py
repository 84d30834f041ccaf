"""The commands `explain` and `find`: one layer, in words and in every dialect."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.explanations import Explanation
from convserve.exports import as_document
from convserve.plans import LayerPlan, Plan
from convserve.tensors import TensorSpec

from convserve_client._client import Client
from convserve_client._explain import specs_by_name
from convserve_client.cli.answer import Answer
from convserve_client.cli.planning import read_described
from convserve_client.cli.values import by_name


def explain(client: Client, arguments: Namespace) -> Answer:
    """One layer's formulas, its other spellings, and what would make it possible."""
    explained = _explain_text if arguments.layer is None else _explain_layer
    result = explained(client, arguments)
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


def _explain_text(client: Client, arguments: Namespace) -> Explanation:
    """The explanation of a layer as a framework writes it."""
    if Path(arguments.layer_or_network).is_file():
        raise InvalidArgumentError(
            "this is a file: name the layer of it with --layer", field=arguments.layer_or_network
        )
    if arguments.input is None:
        raise InvalidArgumentError(
            "give the shape that the layer reads, such as 1x3x224x224", field="--input"
        )
    return client.explain(
        arguments.layer_or_network,
        by_name(arguments.input),
        arguments.dialect,
        dtype=arguments.dtype,
        **_wishes(arguments),
    )


def _explain_layer(client: Client, arguments: Namespace) -> Explanation:
    """The explanation of one layer of a network's file, where it stands."""
    shapes = by_name(arguments.input)
    network = read_described(client, Path(arguments.layer_or_network), shapes)
    plan = client.plan(network, shapes, arguments.dtype, arguments.device, explain=False)
    inputs = _inputs(plan, _layer(plan, arguments.layer))
    given = next(layer for layer in network.layers if layer.name == arguments.layer)
    return client.explain(given, specs_by_name(inputs), dtype=inputs[0].dtype, **_wishes(arguments))


def _wishes(arguments: Namespace) -> dict[str, Any]:
    return {"compare": arguments.compare, "want": arguments.want, "device": arguments.device}


def _layer(plan: Plan, name: str) -> LayerPlan:
    try:
        return plan.layer(name)
    except KeyError:
        names = ", ".join(layer.name for layer in plan.layers)
        raise InvalidArgumentError(
            f"there is no layer {name!r}, only {names[:500]}", field="--layer"
        ) from None


def _inputs(plan: Plan, layer: LayerPlan) -> tuple[TensorSpec, ...]:
    """What the layer reads."""
    known = {spec.name: spec for spec in (*plan.inputs, *(each.output for each in plan.layers))}
    return tuple(known[name] for name in layer.inputs)
