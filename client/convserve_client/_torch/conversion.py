"""From a graph of calls to a network: each call, by the tables of what it means in layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.fx
from convserve.errors import UnsupportedError, error_at
from convserve.layers import Flatten, Layer, Permute, Reshape, Slice
from convserve.tensors import TensorSpec
from torch.utils import _pytree as pytree

from convserve_client._torch import TorchNetwork
from convserve_client._torch.calls import resolve
from convserve_client._torch.site import Signal, Site, Sketch, as_array, check_signal
from convserve_client._torch.tracing import Trace

_VIEWS = (Flatten, Permute, Reshape, Slice)


def convert(trace: Trace) -> TorchNetwork:
    """The network of a traced module. Raises UnsupportedError, with the name of the call."""
    conversion = _Conversion(trace)
    result = conversion.run()
    sketch = conversion.sketch
    outputs = [check_signal(each).name for each in pytree.tree_leaves(result)]
    layers = _needed(sketch.layers, outputs)
    weights = {
        name: as_array(values)
        for name, values in sketch.weights.items()
        if name.rpartition(".")[0] in layers and not values.is_meta
    }
    dtype = str(trace.dtype).removeprefix("torch.")
    specs = tuple(TensorSpec(name, dtype, shape) for name, shape in trace.shapes.items())
    return TorchNetwork(
        layers.values(),
        tuple(trace.shapes),
        outputs,
        weights=weights,
        input_specs=specs,
        notes=tuple(sketch.notes),
    )


def _needed(layers: Mapping[str, Layer], outputs: Iterable[str]) -> dict[str, Layer]:
    """The layers that lead to the outputs, in their order."""
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in layers and name not in found:
            found.add(name)
            waiting.extend(layers[name].inputs or ())
    return {name: layer for name, layer in layers.items() if name in found}


class _Conversion:
    """Walks the graph once. A value is a signal, a constant tensor, or any Python value."""

    def __init__(self, trace: Trace) -> None:
        self.sketch = Sketch(taken=frozenset(trace.shapes))
        self._trace = trace
        self._values: dict[torch.fx.Node, Any] = {}
        self._changed: dict[str, Signal] = {}  # in place: what its readers get from then on
        self._stale: set[str] = set()  # changed in place through a view of it

    def run(self) -> Any:
        """What the module returns, with signals for its tensors."""
        with torch.no_grad():
            for node in self._trace.calls.graph.nodes:
                self._values[node] = self._value(node)
        return self._values[node]

    def _value(self, node: torch.fx.Node) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op == "get_attr":
            return _attribute(self._trace.calls, str(node.target))
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self._read)
        if node.op == "output":
            return args[0]
        found = node.meta.get("val")
        if not any(isinstance(each, Signal) for each in pytree.tree_leaves((args, kwargs))):
            return self._evaluate(node, args, kwargs)
        if not any(isinstance(each, torch.Tensor) for each in pytree.tree_leaves(found)):
            return found  # a size, which is as constant as the shapes are
        return self._call(node, args, kwargs)

    def _placeholder(self, node: torch.fx.Node) -> Any:
        name = str(node.target)
        if name in self._trace.constants:
            return self._trace.constants[name]
        value = node.meta["val"]
        return Signal(name, tuple(value.shape), value.dtype)

    def _read(self, node: torch.fx.Node) -> Any:
        return pytree.tree_map_only(Signal, self._current, self._values[node])

    def _current(self, signal: Signal) -> Signal:
        while signal.name in self._changed:
            signal = self._changed[signal.name]
        if signal.name in self._stale:
            raise UnsupportedError("it is read after a part of it was changed in place")
        return signal

    def _evaluate(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        """What does not depend on the input, such as a scaled weight."""
        if node.op == "call_module":
            return self._trace.calls.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]  # it is a function

    def _call(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        call = resolve(node, self._trace)
        with error_at(call.layer):
            result, changed = call.apply(self._site(node, call.layer), args, kwargs)
            if changed is not None and isinstance(result, Signal):
                self._change(check_signal(changed), result)
        return result

    def _site(self, node: torch.fx.Node, name: str) -> Site:
        first = next(
            each for each in pytree.tree_leaves(node.meta["val"]) if isinstance(each, torch.Tensor)
        )
        return Site(self.sketch, name, tuple(first.shape), first.dtype)

    def _change(self, before: Signal, after: Signal) -> None:
        """Let later readers of a tensor that was changed in place read the result."""
        if before.name == after.name:
            return
        self._changed[before.name] = after
        name = before.name
        while isinstance(layer := self.sketch.layers.get(name), _VIEWS):
            [name] = layer.inputs or ()
            self._stale.add(name)


def _attribute(module: torch.nn.Module, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    return value
