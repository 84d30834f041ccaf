"""One layer: explained, compared with other frameworks, looked for. Flows without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from convserve.codec import from_message, layer_to_message
from convserve.errors import InvalidArgumentError, error_at
from convserve.explanations import Explanation, FoundLayers
from convserve.layers import Layer
from convserve.layers.fields import Ints, IntsLike, as_ints, is_int
from convserve.tensors import TensorSpec, spec_to_message
from convserve.v1 import explanation_pb2 as messages

from convserve_client._calls import Ask
from convserve_client._checks import check_count, check_flag, check_text
from convserve_client._flows import Flow
from convserve_client._session import Session
from convserve_client._shapes import ShapeLike, as_spec, by_name


def explain(
    session: Session,
    layer_or_text: Layer | str,
    input_shape: ShapeLike | Mapping[str, ShapeLike],
    dialect: str | None = None,
    compare: bool = False,
    want: IntsLike | None = None,
    *,
    dtype: Any = "float32",
    device: str | None = None,
    timeout: float | None = None,
) -> Flow[Explanation]:
    """What one layer does, with its formulas and numbers, and how other frameworks write it.

    The layer is ours, or a text as a framework writes it, such as `nn.Conv2d(3, 64, 7, stride=2)`;
    `dialect` is one of pytorch, keras, onnx, caffe, darknet, matlab, jax, scipy and convserve, or
    None for the one that it looks like. `input_shape` is (N, C, *L), channels first whatever the
    dialect; several inputs go by name. `compare` asks what every runtime makes of it: the same
    shape and values, shifted ones, or a refusal. `want` is the size that the result should have,
    one for all spatial axes or one each.

    A layer that is impossible, or misses that size, is explained too, with the nearest changes that
    help: `print` shows them. Raises InvalidArgumentError for what cannot be read.
    """
    request = messages.ExplainLayerRequest(
        dialect=check_text(dialect or "", "dialect"),
        inputs=[
            spec_to_message(as_spec(name, shape, dtype))
            for name, shape in by_name(input_shape).items()
        ],
        compare=check_flag(compare, "compare"),
        wanted_size=() if want is None else _sizes("want", want),
        device=check_text(device or "", "device"),
    )
    _put_subject(request, layer_or_text)
    return session.begin(timeout).attempt(partial(_explain_layer, request))


def find_layers(
    session: Session,
    input_size: IntsLike,
    output_size: IntsLike,
    transposed: bool = False,
    *,
    max_kernel_size: int = 7,
    max_stride: int = 4,
    max_padding: int = 3,
    max_dilation: int = 1,
    max_count: int = 20,
    timeout: float | None = None,
) -> Flow[FoundLayers]:
    """The layers that make `output_size` of `input_size`, spatial sizes, the simplest first.

    A layer has the same numbers on every axis, up to the maxima; `max_count` are returned. Each
    tells which inputs give the same output. Raises InvalidArgumentError, TooLargeError.
    """
    bounds = {
        "max_kernel_size": max_kernel_size,
        "max_stride": max_stride,
        "max_dilation": max_dilation,
        "max_padding": max_padding,
        "max_count": max_count,
    }
    request = messages.FindLayersRequest(
        input_size=_sizes("input_size", input_size),
        output_size=_sizes("output_size", output_size),
        transposed=check_flag(transposed, "transposed"),
        **{name: check_count(bound, name, 0) for name, bound in bounds.items()},
    )
    return session.begin(timeout).attempt(partial(_find_layers, request))


def specs_by_name(specs: tuple[TensorSpec, ...]) -> dict[str, ShapeLike]:
    """The shapes of tensors as `explain` takes them."""
    return {spec.name: ("N", *spec.shape[1:]) if spec.is_symbolic else spec.shape for spec in specs}


def _put_subject(request: messages.ExplainLayerRequest, subject: Layer | str) -> None:
    if isinstance(subject, Layer):
        request.layer.CopyFrom(layer_to_message(subject))
    else:
        request.text = check_text(subject, "layer_or_text")


def _sizes(name: str, value: IntsLike) -> Ints:
    sizes = as_ints(value)
    with error_at(name):
        if not all(is_int(size, 1) for size in sizes):
            raise InvalidArgumentError(f"{str(value)[:80]} is no size, nor one for each axis")
    return sizes


def _explain_layer(request: messages.ExplainLayerRequest) -> Ask[Explanation]:
    return Ask(
        "ExplainLayer", request, lambda answer: from_message(answer.explanation, Explanation)
    )


def _find_layers(request: messages.FindLayersRequest) -> Ask[FoundLayers]:
    return Ask("FindLayers", request, lambda answer: from_message(answer.found, FoundLayers))
