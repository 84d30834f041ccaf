"""The commands `explain` and `find`: one layer, in words and in every dialect."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.explanations import Explanation
from convserve.plans import LayerPlan, Plan
from convserve.tensors import TensorSpec

from convserve_client._client import Client
from convserve_client._explain import specs_by_name


def explain_subject(client: Client, arguments: Namespace, shapes: Any) -> Explanation:
    """The explanation of a text, or of one layer of a network's file where it stands."""
    options = {"compare": arguments.compare, "want": arguments.want, "device": arguments.device}
    if arguments.layer is None:
        return client.explain(
            arguments.layer_or_network,
            shapes,
            arguments.dialect,
            dtype=arguments.dtype,
            **options,
        )
    network = client.read_network(arguments.layer_or_network, keep_weights=False)
    plan = client.plan(network, shapes, arguments.dtype, arguments.device, explain=False)
    inputs = _inputs(plan, _layer(plan, arguments.layer))
    given = next(layer for layer in network.layers if layer.name == arguments.layer)
    dtype = next(iter(inputs.values())).dtype
    return client.explain(given, specs_by_name(tuple(inputs.values())), dtype=dtype, **options)


def _layer(plan: Plan, name: str) -> LayerPlan:
    try:
        return plan.layer(name)
    except KeyError:
        names = ", ".join(layer.name for layer in plan.layers)
        raise InvalidArgumentError(
            f"there is no layer {name!r}, only {names[:500]}", field="--layer"
        ) from None


def _inputs(plan: Plan, layer: LayerPlan) -> Mapping[str, TensorSpec]:
    """What the layer reads, by name."""
    known = {spec.name: spec for spec in plan.inputs}
    known |= {each.name: each.output for each in plan.layers}
    return {name: known[name] for name in layer.inputs}
