"""What is known before a network runs: weights, which stay where they are, and small numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import evolve, field, frozen
from convserve.errors import (
    ByteCountError,
    DTypeError,
    ShapeError,
    TooLargeError,
    UnsupportedError,
)
from convserve.tensors import MAX_RANK, Array, Shape, TensorSpec, dtype_name, dtype_of, wire_bytes

from convserve_server.planning.importers.imported import (
    Fill,
    Source,
    Span,
    Values,
    Weight,
    stored_array,
)
from convserve_server.planning.importers.onnx.messages import TensorMessage
from convserve_server.planning.importers.onnx.wire import decode_varints

MAX_FOLDED = 1 << 20  # elements of a constant that is computed with
# In a tensor's shape, as the nodes that compute with shapes see it: the batch, and an open size.
BATCH = -(1 << 62)
OPEN = -(1 << 61)

# ONNX's number of an element type -> our name, and the field of its numbers if they are not raw
DTYPES: dict[int, tuple[str, str]] = {
    1: ("float32", "floats"),
    2: ("uint8", "ints"),
    3: ("int8", "ints"),
    4: ("uint16", "ints"),
    5: ("int16", "ints"),
    6: ("int32", "ints"),
    7: ("int64", "longs"),
    9: ("bool", "ints"),
    10: ("float16", "ints"),
    11: ("float64", "doubles"),
    12: ("uint32", "unsigned"),
    13: ("uint64", "unsigned"),
    14: ("complex64", "floats"),
    15: ("complex128", "doubles"),
    16: ("bfloat16", "ints"),
}
_HALVES = ("float16", "bfloat16")  # whose numbers are their bits


def element_type(number: int) -> str:
    """Our name of an element type. Raises DTypeError."""
    if number not in DTYPES:
        known = ", ".join(name for name, _ in DTYPES.values())
        raise DTypeError(
            f"ONNX's element type {number} does not travel; convert to one of {known}",
            metadata={"value": number},
        )
    return DTYPES[number][0]


@frozen
class Constant:
    """A tensor whose values are known.

    They lie at `source` as a tensor of `stored_shape`, whose axes in the order `permute`, in C
    order, are those of `shape`; each is to be multiplied by `factor`.
    """

    dtype: str
    shape: Shape
    source: Source
    stored_shape: Shape = field()
    permute: tuple[int, ...] = ()
    factor: float = 1.0

    @stored_shape.default
    def _as_is(self) -> Shape:
        return self.shape

    @property
    def element_count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def array(self, file: memoryview) -> Array:
        """Its values. Raises TooLargeError for more than are computed with."""
        if self.element_count > MAX_FOLDED:
            raise TooLargeError(
                f"a constant of {self.element_count} elements would have to be computed with, and "
                f"the limit is {MAX_FOLDED}; fold constants before the export",
                metadata={"value": self.element_count, "limit": MAX_FOLDED},
            )
        stored = stored_array(file, self.source, self.dtype, self.stored_shape)
        turned = stored.transpose(self.permute) if self.permute else stored
        turned = turned.reshape(self.shape)
        return turned if self.factor == 1.0 else (turned * self.factor).astype(turned.dtype)

    def scaled(self, factor: float) -> Constant:
        """Its values, multiplied."""
        return evolve(self, factor=self.factor * factor)

    def reshaped(self, shape: Shape) -> Constant:
        """The same elements in another shape. Raises ShapeError for too many axes."""
        if len(shape) > MAX_RANK:
            raise ShapeError(
                f"a constant would have {len(shape)} axes; the limit is {MAX_RANK}",
                metadata={"value": len(shape), "limit": MAX_RANK},
            )
        return evolve(self, shape=shape)

    def transposed(self, order: Sequence[int]) -> Constant:
        """The axes in another order. Raises UnsupportedError where that cannot be described."""
        shape = tuple(self.shape[axis] for axis in order)
        if not self.permute:
            return evolve(self, shape=shape, stored_shape=self.shape, permute=tuple(order))
        if self.shape != tuple(self.stored_shape[axis] for axis in self.permute):
            raise UnsupportedError("a constant is transposed, reshaped and transposed again")
        return evolve(self, shape=shape, permute=tuple(self.permute[axis] for axis in order))

    def weight(self, name: str) -> Weight:
        """It as a weight of a network."""
        spec = TensorSpec(name, self.dtype, self.shape)
        return Weight(spec, self.source, self.stored_shape, self.permute, self.factor)


def known(array: Array) -> Constant:
    """The constant of values that were computed."""
    return Constant(dtype_name(array.dtype), array.shape, Values(bytes(wire_bytes(array))))


def filled(dtype: str, shape: Shape, value: float = 0) -> Constant:
    """A constant of one value."""
    return Constant(dtype, shape, Fill(dtype_of(dtype).type(value).tobytes()))


def read_constant(file: memoryview, message: TensorMessage) -> Constant:
    """The constant of a tensor in the file. Its bytes stay there, if they are as they should be.

    Raises DTypeError, ShapeError, ByteCountError, UnsupportedError, TooLargeError.
    """
    if message.location or message.external:
        raise UnsupportedError(
            "the values are in another file; save the model with all of its data: "
            "onnx.save(onnx.load('model.onnx'), 'whole.onnx')"
        )
    if message.segment is not None:
        raise UnsupportedError("the values are a segment of a tensor, and only whole ones are read")
    dtype = element_type(message.data_type)
    spec = TensorSpec("", dtype, message.dims)
    spec.check()
    _check_sizes(spec)
    if message.raw is not None:
        _check_bytes(spec, message.raw.byte_count)
        return Constant(dtype, spec.shape, message.raw)
    return Constant(dtype, spec.shape, _typed(file, message, spec))


def _check_sizes(spec: TensorSpec) -> None:
    if spec.is_symbolic:
        raise DTypeError("a tensor that the file holds has an axis of -1", field="dims")


def _typed(file: memoryview, message: TensorMessage, spec: TensorSpec) -> Source:
    role = DTYPES[message.data_type][1]
    spans: list[Span] = getattr(message, role)
    if role in ("floats", "doubles"):
        _check_bytes(spec, sum(span.byte_count for span in spans))
        if len(spans) == 1:
            return spans[0]
        return Values(b"".join(bytes(file[s.offset : s.offset + s.byte_count]) for s in spans))
    numbers = np.concatenate([decode_varints(file, s) for s in spans] or [np.empty(0, np.int64)])
    _check_bytes(spec, numbers.size * dtype_of(spec.dtype).itemsize)
    return Values(_as_bytes(numbers, spec.dtype))


def _as_bytes(numbers: Array, dtype: str) -> bytes:
    target = np.dtype(np.uint16) if dtype in _HALVES else dtype_of(dtype)
    cast = numbers.astype(target)
    if target != np.uint64 and not np.array_equal(cast.astype(np.int64), numbers):
        raise DTypeError(f"numbers of a tensor are out of the range of {dtype}")
    return bytes(wire_bytes(cast))


def _check_bytes(spec: TensorSpec, byte_count: int) -> None:
    if byte_count != spec.byte_count:
        raise ByteCountError(
            f"a tensor of shape {spec.shape} of {spec.dtype} has {spec.byte_count} bytes, but "
            f"{byte_count} are there",
            metadata={"declared_bytes": spec.byte_count, "received_bytes": byte_count},
        )
