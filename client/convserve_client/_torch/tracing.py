"""From a module to a graph of calls, by torch.fx or torch.export, each with its result's shape."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
import torch.fx
from attrs import frozen
from convserve.errors import InvalidArgumentError, ShapeError, UnsupportedError
from convserve.tensors import Shape
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from convserve_client._shapes import DTYPE, ShapeLike, as_spec, by_name

ANY_BATCH = 2  # what stands for "N": a batch of 1 would hide what mixes samples


@frozen
class Trace:
    """What a module calls in eval mode; every node has its result under `meta["val"]`.

    `calls` has the graph and the modules that it names, `root` is the module itself. `constants`
    are the values of placeholders that are no inputs. A shape's -1 is any batch.
    """

    root: torch.nn.Module
    calls: torch.fx.GraphModule
    shapes: Mapping[str, Shape]
    dtype: torch.dtype
    constants: Mapping[str, Any]


def trace(module: torch.nn.Module, example_shape: ShapeLike | Mapping[str, ShapeLike]) -> Trace:
    """The calls of the module in eval mode. Nothing is computed.

    Raises UnsupportedError where neither way of tracing does, ShapeError for inputs that the module
    does not take, InvalidArgumentError for those that it does not have.
    """
    shapes = _shapes(module, example_shape)
    tensors = chain(module.parameters(), module.buffers())
    like = next((each for each in tensors if each.is_floating_point()), torch.empty(0))
    with _evaluating(module):
        calls, constants = _trace(module, shapes, like)
    return Trace(module, calls, shapes, like.dtype, constants)


def is_leaf(module: torch.nn.Module) -> bool:
    """Whether it is called as one thing: its forward is torch's own, and more than a sequence."""
    own = type(module).forward.__module__.startswith("torch.nn")
    return own and not isinstance(module, torch.nn.Sequential)


def _trace(
    module: torch.nn.Module, shapes: Mapping[str, Shape], like: torch.Tensor
) -> tuple[torch.fx.GraphModule, Mapping[str, Any]]:
    """Arguments that have no shape are fixed to their defaults."""
    parameters = inspect.signature(module.forward).parameters
    fixed = {name: each.default for name, each in parameters.items() if name not in shapes}
    try:
        graph = _Tracer().trace(module, concrete_args=fixed or None)
    except Exception as error:  # whatever the module's own code does with proxies
        return _trace_by_export(module, shapes, like, _first_line(error))
    calls = torch.fx.GraphModule(module, graph)
    return calls, _find_shapes(calls, _examples(shapes, like.dtype, "meta"))


def _examples(
    shapes: Mapping[str, Shape], dtype: torch.dtype, device: torch.device | str
) -> dict[str, torch.Tensor]:
    return {
        name: torch.empty([ANY_BATCH if batch < 0 else batch, *sizes], dtype=dtype, device=device)
        for name, (batch, *sizes) in shapes.items()
    }


def _in_place(operation: Callable[[Any, Any], Any]) -> Any:
    def method(self: torch.fx.Proxy, other: Any) -> torch.fx.Proxy:
        return self.tracer.create_proxy("call_function", operation, (self, other), {})

    return method


class _Proxy(torch.fx.Proxy):
    """fx's own takes `x += y` for `x = x + y`, though other names of x see the sum too."""

    __iadd__ = _in_place(operator.iadd)
    __isub__ = _in_place(operator.isub)
    __imul__ = _in_place(operator.imul)
    __itruediv__ = _in_place(operator.itruediv)
    __ipow__ = _in_place(operator.ipow)


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        return is_leaf(m)

    def proxy(self, node: torch.fx.Node) -> torch.fx.Proxy:
        return _Proxy(node, self)


class _Shapes(torch.fx.Interpreter):
    """Runs a graph on the meta device, where tensors have shapes but no values."""

    def run_node(self, n: torch.fx.Node) -> Any:
        n.meta["val"] = super().run_node(n)
        return n.meta["val"]

    def fetch_attr(self, target: str) -> Any:
        value = super().fetch_attr(target)
        return value.to("meta") if isinstance(value, torch.Tensor) else value

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(target)
        state = {name: values.to("meta") for name, values in module.state_dict().items()}
        return torch.func.functional_call(module, state, args, kwargs)


def _find_shapes(
    calls: torch.fx.GraphModule, inputs: Mapping[str, torch.Tensor]
) -> Mapping[str, Any]:
    """Give every node its result, and return the arguments that are no inputs."""
    placeholders = [node for node in calls.graph.nodes if node.op == "placeholder"]
    constants = {
        str(node.target): node.args[0] for node in placeholders if node.target not in inputs
    }
    values = {**inputs, **constants}
    try:
        with torch.device("meta"), torch.no_grad():
            _Shapes(calls).run(*(values[str(node.target)] for node in placeholders))
    except Exception as error:
        shapes = ", ".join(f"{name} {tuple(each.shape)}" for name, each in inputs.items())
        raise ShapeError(
            f"the module fails for {shapes}: {_first_line(error)}", field="example_shape"
        ) from error
    return constants


def _trace_by_export(
    module: torch.nn.Module, shapes: Mapping[str, Shape], like: torch.Tensor, reason: str
) -> tuple[torch.fx.GraphModule, Mapping[str, Any]]:
    """`reason` is why fx cannot."""
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()):
        inputs = _examples(shapes, like.dtype, like.device)
    try:
        program = torch.export.export(module, (), inputs, strict=False)
    except Exception as error:  # as above
        raise UnsupportedError(
            f"torch.fx cannot trace it: {reason}; nor can torch.export: {_first_line(error)}",
            field=type(module).__name__,
        ) from error
    values = {**program.state_dict, **program.constants}
    constants = {
        spec.arg.name: values[spec.target]
        for spec in program.graph_signature.input_specs
        if spec.target is not None
    }
    return program.graph_module, constants


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """The module in eval mode, and afterwards as it was."""
    training = [each for each in module.modules() if each.training]
    module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True


def _shapes(
    module: torch.nn.Module, example_shape: ShapeLike | Mapping[str, ShapeLike]
) -> dict[str, Shape]:
    """The shape of each argument of forward that has one."""
    parameters = inspect.signature(module.forward).parameters
    given = by_name(example_shape, next(iter(parameters), "input"))
    required = {
        name for name, each in parameters.items() if each.default is inspect.Parameter.empty
    }
    if not given.keys() <= parameters.keys() or not required <= given.keys():
        raise InvalidArgumentError(
            f"forward takes {', '.join(parameters)}, and needs {', '.join(sorted(required))}; "
            f"shapes are given for {', '.join(map(str, given))}",
            field="example_shape",
        )
    return {name: _as_shape(name, shape) for name, shape in given.items()}


def _as_shape(name: str, shape: ShapeLike) -> Shape:
    found = as_spec(name, shape, DTYPE, "example_shape").shape
    if not found:
        raise ShapeError(
            "() is not a shape of a batch: its first axis is missing",
            field=f"example_shape[{name!r}]",
        )
    return found


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
