"""What an importer makes of a file: a network, and where its weights lie."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from attrs import field, frozen
from convserve.networks import Network
from convserve.tensors import Array, Shape, TensorSpec, array_over, dtype_of

UNKNOWN_SIZE = 0  # of an axis that the file leaves open; the batch is -1 then


@frozen
class Span:
    """Bytes of the file."""

    offset: int
    byte_count: int


@frozen
class Fill:
    """One element's bytes, repeated."""

    element: bytes


@frozen
class Values:
    """Bytes that the file has in another form: decoded."""

    data: bytes


Source: TypeAlias = Span | Fill | Values


@frozen
class Weight:
    """A weight of the network, made from a source when it is wanted.

    The source holds a tensor of `stored_shape`, in C order; its axes are put in the order `permute`
    and its elements multiplied by `factor`. The result has the shape of `spec`.
    """

    spec: TensorSpec
    source: Source
    stored_shape: Shape
    permute: tuple[int, ...] = ()
    factor: float = 1.0

    def stored_bytes(self, file: memoryview) -> memoryview | bytes | None:
        """The bytes of its values, if they are those of its source."""
        if self.permute or self.factor != 1.0 or isinstance(self.source, Fill):
            return None
        if isinstance(self.source, Values):
            return self.source.data
        return file[self.source.offset : self.source.offset + self.source.byte_count]

    def write(self, file: memoryview, target: memoryview) -> None:
        """Put the values into `target`, which has exactly their size."""
        result = array_over(target, self.spec)
        stored = stored_array(file, self.source, self.spec.dtype, self.stored_shape)
        turned = stored.transpose(self.permute) if self.permute else stored
        turned = turned.reshape(self.spec.shape)
        if self.factor == 1.0:
            np.copyto(result, turned)
        else:
            np.multiply(turned, self.factor, out=result, casting="unsafe")


def stored_array(file: memoryview, source: Source, dtype: str, shape: Shape) -> Array:
    """The elements of a source, without a copy; one element stands for all of a Fill."""
    kind: np.dtype[Any] = dtype_of(dtype)
    if isinstance(source, Fill):
        return np.broadcast_to(np.frombuffer(source.element, kind)[0], shape)
    if isinstance(source, Span):
        data: Any = file[source.offset : source.offset + source.byte_count]
    else:
        data = source.data
    flat: Array = np.frombuffer(data, kind, math.prod(shape))
    return flat.reshape(shape)


@frozen
class Imported:
    """A network out of a file.

    `inputs` are the network's, with the shapes that the file tells: -1 for a batch that is open,
    0 for another axis that is, and no axes at all where nothing is told. `weights` are named as the
    network names them. `notes` say what was left out or done in another way.
    """

    network: Network
    inputs: tuple[TensorSpec, ...]
    weights: tuple[Weight, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
