"""One Caffe layer in its place: what it reads, and the draft that it adds to."""

from __future__ import annotations

from attrs import frozen
from convserve.errors import InvalidNetworkError, UnsupportedError
from convserve.layers import Layer
from convserve.layers.fields import Ints
from convserve.tensors import Shape

from convserve_server.planning.importers.caffe.layers import CaffeLayer
from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import FileFields


@frozen
class Place:
    """`inputs` are names in the draft, one for each bottom blob."""

    draft: Draft
    layer: CaffeLayer
    inputs: tuple[str, ...]

    @property
    def input(self) -> str:
        """The only blob that the layer reads."""
        if len(self.inputs) != 1:
            raise InvalidNetworkError(
                f"{self.layer.where} reads {len(self.inputs)} blobs, but must read 1",
                field="bottom",
            )
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """The shape of one sample of the first blob, (C, *L)."""
        return self.draft.shape(self.inputs[0])

    def add(self, layer: Layer, *sources: str, part: str = "") -> str:
        """One layer under the Caffe layer's name, or the name of a part of it."""
        name = f"{self.layer.name}/{part}" if part else self.layer.name
        return self.draft.add(name, layer, *sources)

    def fields(self, name: str) -> FileFields:
        """The layer's parameters. The choice of an implementation changes no result."""
        fields = self.layer.parameters(name)
        fields.ignore("engine")
        return fields

    def axis(self, fields: FileFields, name: str = "axis", default: int = 1) -> int:
        """An axis after the batch, from 1; Caffe counts the batch as 0 and may count backwards."""
        value = fields.get(name)
        axis = default if value is None else value
        rank = len(self.shape)
        if type(axis) is int and axis < 0:
            axis += rank + 1
        if type(axis) is not int or not 1 <= axis <= rank:
            raise fields.unsupported(name, f"an axis from 1 to {rank}; the batch is axis 0")
        return axis

    def unsupported(self, problem: str, field: str = "type") -> UnsupportedError:
        """The error for what is legal in Caffe but not done here."""
        return UnsupportedError(f"{self.layer.where}: {problem}", field=field)


def window(
    fields: FileFields,
    name: str,
    default: int | None,
    low: int,
    *,
    whole: str = "",
    absent: int | None = None,
) -> Ints:
    """Caffe's two spellings: `kernel_size: 3`, once or per axis, or `kernel_h: 3 kernel_w: 5`.

    `absent` stands for a side that is left out beside the other one; None: both must be there.
    """
    whole = whole or name
    sides = (f"{name}_h", f"{name}_w")
    if any(side in fields for side in sides):
        if whole in fields:
            raise fields.unsupported(whole, f"give it, or {sides[0]} and {sides[1]}")
        return tuple(fields.integer(side, absent, low) for side in sides)
    return fields.integers(whole, None, None if default is None else (default,), low)
