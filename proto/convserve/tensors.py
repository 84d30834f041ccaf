"""Tensors between NumPy and the wire: dtypes, specs, raw bytes. `chunks.py` sends them in pieces.

Values are raw little-endian bytes in C order. Encoding a contiguous array copies nothing, nor does
laying an array over bytes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from attrs import field, frozen

from convserve.errors import (
    ByteCountError,
    DTypeError,
    InvalidArgumentError,
    ShapeError,
)
from convserve.v1 import tensor_pb2

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]

MAX_RANK = 32  # NumPy's own limit before 2.0; signals may have any rank below it
MAX_DIMENSION = 2**31 - 1
SYMBOLIC_BATCH = -1
ALIGNMENT = 64  # where tensors begin in shared memory: a cache line, and enough for vector units

# Name on both sides -> NumPy dtype. The wire's enum is DTYPE_ and the name in capitals.
DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "uint32": np.dtype(np.uint32),
    "uint64": np.dtype(np.uint64),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "complex64": np.dtype(np.complex64),
    "complex128": np.dtype(np.complex128),
}
_WIRE_NAMES = {
    number: name.removeprefix("DTYPE_").lower() for name, number in tensor_pb2.DType.items()
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype called `name`, such as `bfloat16`. Raises DTypeError."""
    try:
        return DTYPES[name]
    except KeyError:
        raise DTypeError(
            f"{name!r} is not an element type; use one of {', '.join(DTYPES)}",
            field="dtype",
            metadata={"value": name},
        ) from None


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The name of a NumPy dtype, whatever its byte order. Raises DTypeError."""
    try:
        return _NAMES[dtype.newbyteorder("=")]
    except KeyError:
        raise DTypeError(
            f"{dtype} does not travel; convert to one of {', '.join(DTYPES)}",
            field="dtype",
            metadata={"value": dtype},
        ) from None


def _as_shape(value: Iterable[int]) -> Shape:
    return tuple(value)


@frozen
class TensorSpec:
    """A tensor without its values: its role, dtype name, shape, and bytes.

    `shape` is a tuple of Python ints; -1 on the first axis is a batch not known yet.
    """

    name: str
    dtype: str
    shape: Shape = field(converter=_as_shape)

    @property
    def element_count(self) -> int:
        """The product of the shape, as an exact integer (NumPy's own wraps around)."""
        return math.prod(self.shape)

    @property
    def byte_count(self) -> int:
        """The length of the values in bytes."""
        return math.prod(self.shape) * dtype_of(self.dtype).itemsize

    @property
    def is_symbolic(self) -> bool:
        """Whether the batch is not known yet."""
        return bool(self.shape) and self.shape[0] == SYMBOLIC_BATCH

    def check(self) -> None:
        """Raise for a dtype, rank or axis that no tensor can have. Allocates nothing."""
        dtype_of(self.dtype)
        if len(self.shape) > MAX_RANK:
            raise ShapeError(
                f"rank {len(self.shape)} is above the limit of {MAX_RANK} axes",
                field="shape",
                metadata={"rank": len(self.shape), "limit": MAX_RANK},
            )
        for axis, size in enumerate(self.shape):
            if not 0 <= size <= MAX_DIMENSION and not (axis == 0 and size == SYMBOLIC_BATCH):
                raise ShapeError(
                    f"size {size} is not from 0 to {MAX_DIMENSION}",
                    field=f"shape[{axis}]",
                    metadata={"value": size, "limit": MAX_DIMENSION},
                )


def spec_of(name: str, array: Array) -> TensorSpec:
    """The spec of an array."""
    return TensorSpec(name, dtype_name(array.dtype), array.shape)


def spec_to_message(spec: TensorSpec) -> tensor_pb2.TensorSpec:
    """The spec as the wire carries it; bytes that do not fit the field are left to be computed."""
    return tensor_pb2.TensorSpec(**spec_to_fields(spec))


def spec_to_fields(spec: TensorSpec) -> dict[str, Any]:
    """The fields of `spec_to_message`."""
    byte_count = 0 if spec.is_symbolic else spec.byte_count
    return {
        "name": spec.name,
        "dtype": f"DTYPE_{spec.dtype.upper()}",
        "shape": spec.shape,
        "byte_count": byte_count if byte_count < 1 << 63 else 0,
    }


def spec_from_message(message: tensor_pb2.TensorSpec) -> TensorSpec:
    """The checked spec of a message. Raises DTypeError, ShapeError, ByteCountError."""
    name = _WIRE_NAMES.get(message.dtype, str(message.dtype))
    spec = TensorSpec(message.name, name, message.shape)
    spec.check()
    if message.byte_count and message.byte_count != spec.byte_count:
        raise ByteCountError(
            f"{message.byte_count} bytes are declared, but shape {spec.shape} of {spec.dtype} "
            f"has {spec.byte_count}",
            field="byte_count",
            metadata={"declared_bytes": message.byte_count, "shape_bytes": spec.byte_count},
        )
    return spec


def aligned(byte_count: int) -> int:
    """`byte_count` rounded up to the next place where a tensor may begin; at least one step."""
    return -(-max(byte_count, 1) // ALIGNMENT) * ALIGNMENT


def as_array(value: Any) -> Array:
    """A NumPy array of anything with `__array__`, the buffer protocol or `__dlpack__`; no copy."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def wire_bytes(array: Array) -> memoryview:
    """The array's values as the wire carries them. Copies only if not contiguous or swapped."""
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return array.reshape(-1).view(np.uint8).data


def empty(spec: TensorSpec) -> Array:
    """A fresh, writable, C-contiguous array for a spec's values."""
    return np.empty(spec.shape, dtype_of(spec.dtype))


def array_over(buffer: memoryview, spec: TensorSpec) -> Array:
    """The tensor whose wire bytes lie in `buffer`, without a copy (little-endian hosts only)."""
    flat: Array = np.frombuffer(buffer, dtype_of(spec.dtype), spec.element_count)
    return flat.reshape(spec.shape)


def check_bools(spec: TensorSpec, buffer: memoryview, path: str) -> None:
    """Raise if a bool tensor holds a byte other than 0 and 1, which NumPy does not expect."""
    if spec.dtype == "bool" and np.any(np.frombuffer(buffer, np.uint8) > 1):
        raise InvalidArgumentError("a bool tensor holds bytes other than 0 and 1", field=path)


if sys.byteorder != "little":  # pragma: no cover  # no such machine runs the dependencies
    raise ImportError("convserve needs a little-endian machine: tensors are little endian in place")
