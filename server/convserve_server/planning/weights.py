"""Which weights a network needs, by name and shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from convserve.errors import InvalidNetworkError, ShapeError
from convserve.networks import Network
from convserve.tensors import Shape, TensorSpec

from convserve_server.planning.layers import rule_of


def weight_names(network: Network) -> tuple[str, ...]:
    """`<layer>.weight` and so on, in the order of the layers.

    Raises InvalidNetworkError if one of them is also the name of a layer or of an input.
    """
    taken = {*network.inputs, *(str(layer.name) for layer in network.layers)}
    names = []
    for index, layer in enumerate(network.layers):
        for role in rule_of(layer).weight_names(layer):
            name = f"{layer.name}.{role}"
            if name in taken:
                raise InvalidNetworkError(
                    f"its weight {name!r} has the name of a layer or an input; rename one of them",
                    field=f"layers[{index}].name",
                    metadata={"value": name},
                )
            names.append(name)
    return tuple(names)


def check_weight_names(network: Network, weights: Sequence[TensorSpec]) -> None:
    """Raise InvalidNetworkError that lists every weight that is missing, extra or given twice."""
    check_names(weight_names(network), weights, "weights")


def check_names(expected: Iterable[str], given: Sequence[TensorSpec], field: str) -> None:
    """Raise InvalidNetworkError unless exactly the expected tensors are given, each once."""
    expected = tuple(expected)
    wanted, counts = set(expected), Counter(spec.name for spec in given)
    problems = {
        "missing": [name for name in expected if name not in counts],
        "not in the network": [name for name in counts if name not in wanted],
        "given twice": [name for name, count in counts.items() if count > 1],
    }
    found = {problem: names for problem, names in problems.items() if names}
    if found:
        listed = "; ".join(f"{problem}: {', '.join(names)}" for problem, names in found.items())
        raise InvalidNetworkError(
            f"{len(given)} tensors are given and {len(expected)} needed. {listed}",
            field=field,
            metadata={"given": len(given), "needed": len(expected)},
        )


def check_shape(weight: TensorSpec, expected: Shape, source: str) -> None:
    """Raise ShapeError unless the weight has the shape that its layer needs."""
    if weight.shape != expected:
        raise ShapeError(
            f"the shape is {weight.shape}, but must be {expected}: {source}",
            field=f"tensors[{weight.name!r}].shape",
            metadata={"value": weight.shape, "want": expected},
        )
