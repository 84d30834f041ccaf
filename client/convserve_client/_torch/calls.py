"""What a node of the graph calls: which layers that means, and how they are named."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any

import torch
import torch.fx
from attrs import frozen
from convserve.errors import UnsupportedError

from convserve_client._torch.functions import FUNCTIONS, OPERATORS
from convserve_client._torch.modules import MODULES
from convserve_client._torch.site import Handler, Site
from convserve_client._torch.tracing import Trace, is_leaf

# Whose functions the tables mean: another package's `add` may be anything.
_PACKAGES = ("torch", "torchvision", "_operator", "math", "builtins")
_ATEN = "aten_"  # what tells ATen's function from another of its name: arguments or results
_OTHERWISE = frozenset(name.removeprefix(_ATEN) for name in FUNCTIONS if name.startswith(_ATEN))
_FIRST = {"input", "self", "tensor"}  # what torch calls the first argument
_REPEATED = re.compile(r"@\d+$")  # export marks the second call of a module so


@frozen
class Call:
    """A call: its name in torch, that of its layers, and what makes them, if anything does."""

    function: str
    layer: str
    make: Handler | None
    in_place: bool

    def apply(self, site: Site, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The signals that it gives, and the first argument if it is changed in place, else None.

        Raises UnsupportedError.
        """
        if self.make is None:
            raise UnsupportedError(f"there is no layer for torch's {self.function}")
        for name in _FIRST & kwargs.keys():
            args, kwargs = (kwargs[name], *args), {k: v for k, v in kwargs.items() if k != name}
        try:
            bound = inspect.signature(self.make).bind(site, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedError(
                f"torch's {self.function} is not supported with these arguments: {error}"
            ) from None
        in_place = self.in_place or bound.arguments.get("inplace", False)
        return self.make(site, *args, **kwargs), args[0] if in_place else None


def resolve(node: torch.fx.Node, trace: Trace) -> Call:
    """What a node calls."""
    if node.op == "call_module":
        module = trace.calls.get_submodule(str(node.target))
        return Call(
            type(module).__name__,
            _layer_name(node, trace, ""),
            _of_module(module),
            getattr(module, "inplace", False) is True,
        )
    full = str(node.target) if node.op == "call_method" else _function_name(node.target)
    function = OPERATORS.get(full, full).rstrip("_")
    in_place = full.endswith("_") or full in OPERATORS
    return Call(function, _layer_name(node, trace, function), FUNCTIONS.get(function), in_place)


def _of_module(module: torch.nn.Module) -> Handler | None:
    """The function that the module is, with the module's own values for its arguments."""
    for each in type(module).__mro__:
        if each in MODULES:
            make, attributes = MODULES[each]
            return partial(make, **{name: getattr(module, name) for name in attributes})
    return None


def _function_name(target: Any) -> str:
    """`add` of torch.add, operator.add and aten.add.Tensor alike."""
    if isinstance(target, torch._ops.OpOverload):
        package, _, name = target._schema.name.partition("::")
        return f"{_ATEN * (name in _OTHERWISE)}{name}" if package == "aten" else f"{package}.{name}"
    package = getattr(target, "__module__", None) or ""
    name = getattr(target, "__name__", type(target).__name__)
    return name if package.partition(".")[0] in _PACKAGES else f"{package}.{name}"


def _layer_name(node: torch.fx.Node, trace: Trace, function: str) -> str:
    """The path of the module that is called, or of the one around it and the function."""
    stack = node.meta.get("nn_module_stack") or {"": ("", None)}
    path = _REPEATED.sub("", list(stack.values())[-1][0])
    if path and is_leaf(trace.root.get_submodule(path)):
        return path
    return f"{path}.{function}" if path else function
