"""A convolution, and what is done to its sums at once, as cuDNN's graph.

The epilogue that cuDNN has kernels for in store is a sum with a residual, then a bias, then a ReLU:
that takes no time to plan. For any other it compiles a kernel of its own, about a second's work, of
which it has more for a bias that comes first. The graphs are written so that either is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cudnn
from attrs import evolve
from convserve.errors import UnsupportedError
from convserve.tensors import Shape

from convserve_server.engines.cuda.graphs import (
    BIAS,
    INPUT,
    OUTPUT,
    RESIDUAL,
    ROLES,
    WEIGHT,
    ConvGraph,
)
from convserve_server.engines.cuda.views import channels_last
from convserve_server.planning.kernels import (
    FORWARD,
    INPUT_GRADIENT,
    WEIGHT_GRADIENT,
    Convolution,
    check_dtype,
)

_TYPES = {
    "float32": cudnn.data_type.FLOAT,
    "float16": cudnn.data_type.HALF,
    "bfloat16": cudnn.data_type.BFLOAT16,
    "float64": cudnn.data_type.DOUBLE,
}
_RESULTS = {FORWARD: OUTPUT, INPUT_GRADIENT: INPUT, WEIGHT_GRADIENT: WEIGHT}
_FROM_STORE = ("", "relu")  # the activations behind which a bias comes last
# Right behind a bias, these are of a pattern that cuDNN compiles only with tensor cores, if at all.
_APART = ("relu6", "sigmoid", "tanh", "elu")


def new_graph(graph: ConvGraph, device: Any) -> Any:
    """CuDNN's graph, which knows no plans yet, for a GPU with such properties.

    Raises UnsupportedError for what cannot be said in one.
    """
    convolution = graph.convolution
    check_dtype(convolution.dtype, tuple(_TYPES))
    sums = cudnn.data_type.DOUBLE if convolution.dtype == "float64" else cudnn.data_type.FLOAT
    made = cudnn.pygraph(
        io_data_type=_TYPES[convolution.dtype],
        intermediate_data_type=sums,
        compute_data_type=sums,
        device_property=device,
    )
    if graph.is_fused and len(convolution.stride) == 1:
        convolution = _with_height(convolution)  # cuDNN's own kernels have two axes or three
    _add(evolve(graph, convolution=convolution), made)
    return made


def _add(graph: ConvGraph, to: Any) -> None:
    """Put the convolution, in its direction, and its epilogue into a graph."""
    convolution = graph.convolution
    kind = _TYPES[convolution.dtype]
    shapes = _shapes(convolution)

    def tensor(role: str) -> Any:
        dims = shapes[role]
        made = to.tensor(dim=list(dims), stride=list(channels_last(dims)), data_type=kind)
        return made.set_uid(_uid(role))

    role = _RESULTS[convolution.direction]
    result = _shaped(_convolved(convolution, to, tensor), shapes[role])
    if graph.is_fused:
        if role == WEIGHT:
            raise UnsupportedError("nothing can be done at once to the gradient of a weight")
        result = _shaped(_finished(graph, to, result, tensor), shapes[role])
    result.set_output(True).set_data_type(kind).set_uid(_uid(role))


def _convolved(convolution: Convolution, to: Any, tensor: Callable[[str], Any]) -> Any:
    window = {
        "pre_padding": [low for low, _ in convolution.padding],
        "post_padding": [high for _, high in convolution.padding],
        "stride": list(convolution.stride),
        "dilation": list(convolution.dilation),
    }
    match convolution.direction:
        case "forward":
            return to.conv_fprop(image=tensor(INPUT), weight=tensor(WEIGHT), **window)
        case "input_gradient":
            return to.conv_dgrad(loss=tensor(OUTPUT), filter=tensor(WEIGHT), **window)
        case _:
            return to.conv_wgrad(image=tensor(INPUT), loss=tensor(OUTPUT), **window)


def _finished(graph: ConvGraph, to: Any, sums: Any, tensor: Callable[[str], Any]) -> Any:
    """What the epilogue makes of the sums."""
    residual_first = graph.activation in _FROM_STORE
    if graph.residual and residual_first:
        sums = to.add(a=sums, b=tensor(RESIDUAL))
    if graph.bias:
        sums = to.bias(input=sums, bias=tensor(BIAS))
    if graph.residual and not residual_first:
        sums = to.add(a=sums, b=tensor(RESIDUAL))
    return _activated(graph, to, sums) if graph.activation else sums


def _activated(graph: ConvGraph, to: Any, sums: Any) -> Any:
    """The activation of the sums. cuDNN's ELU and softplus take no number."""
    if graph.activation in _APART:
        sums = to.identity(input=sums)
    match graph.activation:
        case "relu6":
            return to.relu(input=sums, upper_clip=6.0)
        case "leaky_relu":
            return to.leaky_relu(input=sums, negative_slope=graph.alpha)
        case "silu":
            return to.swish(input=sums)
        case "elu" | "softplus" if graph.alpha != 1.0:
            raise UnsupportedError(
                f"cuDNN has no {graph.activation} of {graph.alpha:g}, only of 1",
                metadata={"value": graph.alpha},
            )
        case _:
            return getattr(to, graph.activation)(input=sums)


def _shapes(convolution: Convolution) -> Mapping[str, Shape]:
    """The shape of each role's tensor."""
    shapes = {
        INPUT: convolution.input,
        WEIGHT: convolution.weight,
        OUTPUT: convolution.output,
    }
    result = shapes[_RESULTS[convolution.direction]]
    return {**shapes, BIAS: (1, result[1], *[1] * (len(result) - 2)), RESIDUAL: result}


def _shaped(tensor: Any, dims: Shape) -> Any:
    return tensor.set_dim(list(dims)).set_stride(list(channels_last(dims)))


def _with_height(convolution: Convolution) -> Convolution:
    """The same along one axis as along two, the first of which has one element."""

    def lifted(shape: Shape) -> Shape:
        return (*shape[:2], 1, *shape[2:])

    return evolve(
        convolution,
        input=lifted(convolution.input),
        weight=lifted(convolution.weight),
        output=lifted(convolution.output),
        stride=(1, *convolution.stride),
        padding=((0, 0), *convolution.padding),
        dilation=(1, *convolution.dilation),
    )


def _uid(role: str) -> int:
    return ROLES.index(role) + 1
