"""A convolution as cuDNN's graph: which plans cuDNN has for it, and what it notes of each.

cuDNN's front end is asked with a description of a GPU in place of a GPU ("deviceless", see
https://docs.nvidia.com/deeplearning/cudnn/frontend/latest/utilities/deviceless-ahead-of-time-compilation.html).
Its `check_support` and `build` ask for a real one, so plans are finalised one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cudnn
from convserve.errors import UnsupportedError
from convserve.tensors import Shape

from convserve_server.planning.kernels import (
    FORWARD,
    INPUT_GRADIENT,
    WEIGHT_GRADIENT,
    Candidate,
    Convolution,
    check_dtype,
)

_TYPES = {
    "float32": cudnn.data_type.FLOAT,
    "float16": cudnn.data_type.HALF,
    "bfloat16": cudnn.data_type.BFLOAT16,
    "float64": cudnn.data_type.DOUBLE,
}
_MODES = [cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK]  # the ranked ones, then what always works
_INPUT, _WEIGHT, _OUTPUT = 1, 2, 3  # names of the tensors within a graph
_RESULTS = {FORWARD: _OUTPUT, INPUT_GRADIENT: _INPUT, WEIGHT_GRADIENT: _WEIGHT}
MAX_FAILURE_CHARS = 200

# The library filters its plans by such a note, but tells nobody which ones a plan has.
NOTES = (
    "TENSOR_CORE",
    "DOWN_CONVERT_INPUTS",
    "REDUCED_PRECISION_REDUCTION",
    "NONDETERMINISTIC",
    "WINOGRAD",
    "FFT",
    "STRICT_NAN_PROP",
)


def plans_of(convolution: Convolution, device: Any) -> Iterator[Candidate]:
    """What cuDNN offers, in its ranking, without numerical notes. Raises UnsupportedError."""
    graph = _planned(convolution, device)
    for index in range(graph.get_execution_plan_count()):
        name = graph.get_plan_name_at_index(index)
        try:
            graph.build_plan_at_index(index)
        except (RuntimeError, cudnn.cudnnGraphNotSupportedError) as error:
            yield Candidate(name, failure=_short(error))
            continue
        notes = graph.get_behavior_notes_for_plan_at_index(index)
        yield Candidate(
            name,
            graph.get_workspace_size_plan_at_index(index),
            tuple(note.name for note in notes),
        )


def plans_with(note: str, convolution: Convolution, device: Any) -> set[str]:
    """The names of those plans that have a numerical note, of those that can be built."""
    graph = _planned(convolution, device)
    graph.select_numeric_notes([getattr(cudnn.numerical_note, note)])
    return set(_buildable(graph))


def _buildable(graph: Any) -> Iterator[str]:
    for index in range(graph.get_execution_plan_count()):
        try:
            graph.build_plan_at_index(index)
        except (RuntimeError, cudnn.cudnnGraphNotSupportedError):
            continue
        yield graph.get_plan_name_at_index(index)


def _planned(convolution: Convolution, device: Any) -> Any:
    """A graph for which cuDNN has made its list of plans."""
    check_dtype(convolution.dtype, tuple(_TYPES))
    kind = _TYPES[convolution.dtype]
    sums = cudnn.data_type.DOUBLE if convolution.dtype == "float64" else cudnn.data_type.FLOAT
    graph = cudnn.pygraph(
        io_data_type=kind,
        intermediate_data_type=sums,
        compute_data_type=sums,
        device_property=device,
    )
    try:
        _add(convolution, graph, kind)
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans(_MODES)
    except (RuntimeError, cudnn.cudnnGraphNotSupportedError) as error:
        raise UnsupportedError(f"cuDNN takes no such convolution: {_why(error)}") from None
    return graph


def _add(convolution: Convolution, graph: Any, kind: Any) -> None:
    """Put the convolution, in its direction, into a graph."""
    shapes = {
        _INPUT: convolution.input,
        _WEIGHT: convolution.weight,
        _OUTPUT: convolution.output,
    }

    def tensor(uid: int) -> Any:
        dims = list(shapes[uid])
        made = graph.tensor(dim=dims, stride=_channels_last(dims), data_type=kind)
        return made.set_uid(uid)

    window = {
        "pre_padding": [low for low, _ in convolution.padding],
        "post_padding": [high for _, high in convolution.padding],
        "stride": list(convolution.stride),
        "dilation": list(convolution.dilation),
    }
    match convolution.direction:
        case "forward":
            made = graph.conv_fprop(image=tensor(_INPUT), weight=tensor(_WEIGHT), **window)
        case "input_gradient":
            made = graph.conv_dgrad(loss=tensor(_OUTPUT), filter=tensor(_WEIGHT), **window)
        case _:
            made = graph.conv_wgrad(image=tensor(_INPUT), loss=tensor(_OUTPUT), **window)
    result = _RESULTS[convolution.direction]
    dims = list(shapes[result])
    made.set_dim(dims).set_stride(_channels_last(dims))
    made.set_output(True).set_data_type(kind).set_uid(result)


def _channels_last(dims: Shape | list[int]) -> list[int]:
    """The strides of a tensor that is named (N, C, *L) and lies as (N, *L, C)."""
    strides = [1] * len(dims)
    step = dims[1]
    for axis in reversed(range(2, len(dims))):
        strides[axis] = step
        step *= dims[axis]
    strides[0] = step
    return strides


def _why(error: BaseException) -> str:
    text = _short(error)
    return "it has no engine for it on this GPU" if "No valid engine" in text else text


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:MAX_FAILURE_CHARS]
