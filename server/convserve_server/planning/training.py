"""The memory in use during one step of training: forward, backward, update.

The model is that of PyTorch's autograd (derivatives.yaml says what each function saves):

- Forward keeps what backward needs of each layer (`Rule.kept`), until that layer's backward has
  run. Anything else lives as in inference.
- Backward runs in reverse. Each layer makes gradients of the inputs that have any before them, and
  of its weights. A gradient that comes from several readers is added up: the next part and the sum
  so far are there at once. It ends with the backward of the layer that made its tensor. Inputs of
  the network have none.
- Gradients of weights stay until the update; the optimizer's state is there all the time, as it is
  from the second step on. The update works in place.

Not counted: the loss, buffers of several devices, and the allocator's rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen
from convserve.errors import InvalidArgumentError
from convserve.tensors import dtype_of

from convserve_server.planning.graph import Node, Sample
from convserve_server.planning.memory import Moment, sample_sizes
from convserve_server.planning.program import Advice

# How many values each optimizer keeps for every trained one (torch.optim's defaults: Adam the means
# of gradients and of their squares; RMSprop the latter; SGD with momentum its velocity).
OPTIMIZERS = {"none": 0, "sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}
UPDATE = "optimizer"  # stands for a layer in the update's moment
_INDEX_BYTES = 8


@frozen
class _Span:
    """Bytes that are there from the moment `first` to `last`, both included; per sample or not."""

    first: int
    last: int
    size: int
    kind: str


def check_optimizer(name: str) -> str:
    """The name, or "adam" for an empty one. Raises InvalidArgumentError."""
    if name and name not in OPTIMIZERS:
        raise InvalidArgumentError(
            f"{name[:100]!r} is not an optimizer; use one of {', '.join(OPTIMIZERS)}",
            field="optimizer",
            metadata={"value": name[:100]},
        )
    return name or "adam"


def training_moments(
    nodes: Sequence[Node],
    inputs: Mapping[str, Sample],
    outputs: Collection[str],
    advices: Sequence[Advice],
    optimizer: str,
) -> tuple[Moment, ...]:
    """The moments of one step: each layer forward, each layer backward, and the update.

    With the optimizer "none" gradients are made and nothing is updated.
    """
    count = len(nodes)
    spans = [
        *_activations(nodes, inputs, outputs),
        *_kept_beside(nodes),
        *_activation_gradients(nodes, outputs),
        *_weight_gradients(nodes),
    ]
    trained = sum(spec.byte_count for node in nodes for spec in node.trained)
    totals = _sweep(spans, 2 * count + 1)
    names = [node.output.name for node in nodes]
    forward = [(n, "forward", a.workspace_bytes) for n, a in zip(names, advices, strict=True)]
    backward = [
        (n, "backward", a.gradient_workspace_bytes) for n, a in zip(names, advices, strict=True)
    ]
    steps = [*forward, *reversed(backward)]
    if optimizer != "none":
        steps.append((UPDATE, "update", 0))
    weight_bytes = sum(node.weight_bytes for node in nodes)
    return tuple(
        Moment(
            name,
            phase,
            weight_bytes=weight_bytes,
            sample_bytes=total["sample"],
            kept_bytes=total["kept"],
            gradient_bytes=total["gradient"],
            gradient_sample_bytes=total["gradient sample"],
            optimizer_bytes=OPTIMIZERS[optimizer] * trained,
            workspace_bytes=workspace,
        )
        for (name, phase, workspace), total in zip(steps, totals, strict=False)
    )


def kept_tensors(nodes: Sequence[Node]) -> dict[str, int]:
    """The tensors that backward needs, and the first layer in forward order that does."""
    needed: dict[str, int] = {}
    for index, node in enumerate(nodes):
        kept = node.rule.kept(node.layer, node.shapes)
        chosen = node.inputs if kept.inputs is None else [node.inputs[i] for i in kept.inputs]
        for sample in (*chosen, *((node.output,) if kept.output else ())):
            needed.setdefault(sample.name, index)
    return needed


def _activations(
    nodes: Sequence[Node], inputs: Mapping[str, Sample], outputs: Collection[str]
) -> Iterable[_Span]:
    """Inputs and results: until their last reader, the loss, or the backward that needs them."""
    count = len(nodes)
    first = dict.fromkeys(inputs, 0) | {node.output.name: i for i, node in enumerate(nodes)}
    last = dict(first)
    for index, node in enumerate(nodes):
        last.update((sample.name, index) for sample in node.inputs)
    last.update(dict.fromkeys(outputs, count))
    for name, index in kept_tensors(nodes).items():
        last[name] = max(last[name], _backward(index, count))
    sizes = sample_sizes(nodes, inputs)
    return [_Span(first[name], last[name], sizes[name], "sample") for name in first]


def _kept_beside(nodes: Sequence[Node]) -> Iterable[_Span]:
    """What layers keep beside tensors of the network: indices, and statistics."""
    for index, node in enumerate(nodes):
        kept = node.rule.kept(node.layer, node.shapes)
        item = max(4, dtype_of(node.output.dtype).itemsize)  # statistics are float32 at least
        last = _backward(index, len(nodes))
        per_sample = _INDEX_BYTES * kept.sample_indices + item * kept.sample_statistics
        yield _Span(index, last, per_sample, "sample")
        yield _Span(index, last, item * kept.statistics, "kept")


def _activation_gradients(nodes: Sequence[Node], outputs: Collection[str]) -> Iterable[_Span]:
    """The gradients of results: from the loss or their last reader to the layer that made them."""
    count = len(nodes)
    made = {node.output.name: index for index, node in enumerate(nodes)}
    trains = _leads_to_weights(nodes)
    sizes = sample_sizes(nodes, {})
    parts = Counter[str]()
    for name in outputs:
        parts[name] += 1
        yield _Span(count, _backward(made[name], count), sizes[name], "gradient sample")
    for index, node in reversed(list(enumerate(nodes))):
        for name in {sample.name for sample in node.inputs} & trains:
            moment = _backward(index, count)
            last = moment if parts[name] else _backward(made[name], count)
            parts[name] += 1
            yield _Span(moment, last, sizes[name], "gradient sample")


def _weight_gradients(nodes: Sequence[Node]) -> Iterable[_Span]:
    """The gradients of weights: from their layer's backward to the update."""
    count = len(nodes)
    for index, node in enumerate(nodes):
        size = sum(spec.byte_count for spec in node.trained)
        yield _Span(_backward(index, count), 2 * count, size, "gradient")


def _leads_to_weights(nodes: Sequence[Node]) -> set[str]:
    """The results whose gradients are needed: there are weights at or before their layers."""
    found: set[str] = set()
    for node in nodes:
        if node.trained or any(sample.name in found for sample in node.inputs):
            found.add(node.output.name)
    return found


def _backward(index: int, count: int) -> int:
    """The moment of the backward of the layer at `index`, of `count`."""
    return 2 * count - 1 - index


def _sweep(spans: Iterable[_Span], count: int) -> list[Counter[str]]:
    """The bytes of each kind that are there at each of `count` moments."""
    changes = [Counter[str]() for _ in range(count + 1)]
    for span in spans:
        changes[span.first][span.kind] += span.size
        changes[span.last + 1][span.kind] -= span.size
    totals, running = [], Counter[str]()
    for change in changes[:count]:
        for kind, size in change.items():
            running[kind] += size
        totals.append(Counter(running))
    return totals
