"""Importing as a task of bytes: what another process can do and send back."""

from __future__ import annotations

import msgspec
from convserve.codec import network_to_message
from convserve.errors import InvalidArgumentError, error_at
from convserve.tensors import Shape, TensorSpec, spec_to_message
from convserve.v1 import planning_service_pb2 as pb2

from convserve_server.planning.importers.formats import format_of, read
from convserve_server.planning.importers.imported import Fill, Span, Values, Weight


class _Weight(msgspec.Struct, frozen=True, array_like=True):
    """A `Weight` in MessagePack: one of `span`, `fill` and `values` is its source."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    permute: tuple[int, ...]
    factor: float
    span: tuple[int, int] | None = None
    fill: bytes | None = None
    values: bytes | None = None


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """An ImportNetworkResponse without its weights, and these."""

    response: bytes
    weights: tuple[_Weight, ...]


_decoder = msgspec.msgpack.Decoder(_Answer)


def import_network(request: bytes, file: memoryview) -> bytes:
    """Read a file as an ImportNetworkHeader tells; the answer is for `decode_answer`.

    Raises what the readers raise, and InvalidArgumentError for a file that is nobody's.
    """
    header = pb2.ImportNetworkHeader.FromString(request)
    imported = read(header_format(header), file, header_shapes(header))
    response = pb2.ImportNetworkResponse(
        network=network_to_message(imported.network),
        inputs=map(spec_to_message, imported.inputs),
        notes=imported.notes,
    )
    weights = tuple(map(_to_struct, imported.weights))
    return msgspec.msgpack.encode(_Answer(response.SerializeToString(), weights))


def decode_answer(data: bytes) -> tuple[pb2.ImportNetworkResponse, tuple[Weight, ...]]:
    """The response, still without weights, and the weights in the network's order."""
    answer = _decoder.decode(data)
    response = pb2.ImportNetworkResponse.FromString(answer.response)
    return response, tuple(map(_from_struct, answer.weights))


def header_format(header: pb2.ImportNetworkHeader) -> str:
    """The name of a header's format. Raises InvalidArgumentError."""
    known = pb2.ModelFormat.values()
    name = pb2.ModelFormat.Name(header.format) if header.format in known else str(header.format)
    given = name.removeprefix("MODEL_FORMAT_").lower() if header.format else ""
    return format_of(given, header.file_name)


def header_shapes(header: pb2.ImportNetworkHeader) -> dict[str, Shape]:
    """The shapes that a header gives, by the inputs' names. Raises InvalidArgumentError."""
    shapes: dict[str, Shape] = {}
    for index, item in enumerate(header.inputs):
        with error_at(f"inputs[{index}]"):
            if item.name in shapes:
                raise InvalidArgumentError(
                    f"{item.name[:100]!r} has a shape already; give each input one",
                    field="name",
                )
            if not item.shape:
                raise InvalidArgumentError(
                    "it has no axes; give the batch and what is behind it, or leave the input out",
                    field="shape",
                )
            TensorSpec(item.name, "float32", item.shape).check()
        shapes[item.name] = tuple(item.shape)
    return shapes


def _to_struct(weight: Weight) -> _Weight:
    source, spec = weight.source, weight.spec
    return _Weight(
        name=spec.name,
        dtype=spec.dtype,
        shape=spec.shape,
        stored_shape=weight.stored_shape,
        permute=weight.permute,
        factor=weight.factor,
        span=(source.offset, source.byte_count) if isinstance(source, Span) else None,
        fill=source.element if isinstance(source, Fill) else None,
        values=source.data if isinstance(source, Values) else None,
    )


def _from_struct(each: _Weight) -> Weight:
    if each.span is not None:
        source: Span | Fill | Values = Span(*each.span)
    elif each.fill is not None:
        source = Fill(each.fill)
    else:
        source = Values(each.values or b"")
    spec = TensorSpec(each.name, each.dtype, each.shape)
    return Weight(spec, source, each.stored_shape, each.permute, each.factor)
