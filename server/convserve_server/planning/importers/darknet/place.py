"""One Darknet section in its place: what it reads, and the draft that it adds to."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from convserve.errors import UnsupportedError
from convserve.layers import Flatten, Layer
from convserve.tensors import Shape

from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import FileFields


@frozen
class Place:
    """One section in its place: the draft, what it reads, and how it finds others by number."""

    draft: Draft
    name: str
    fields: FileFields
    input: str
    find: Callable[[int], str]

    @property
    def shape(self) -> Shape:
        """One sample of the input, (C, H, W)."""
        return self.draft.shape(self.input)

    def add(self, layer: Layer, *sources: str, part: str = "") -> str:
        """One layer under the section's name, or the name of a part of it."""
        return self.draft.add(f"{self.name}/{part}" if part else self.name, layer, *sources)

    def unsupported(self, problem: str, field: str) -> UnsupportedError:
        """The error for what Darknet takes but what is not done here."""
        return UnsupportedError(f"{self.fields.where}: {problem}", field=field)

    def strides(self) -> tuple[int, int]:
        """(vertical, horizontal): `stride_y` and `stride_x`, or `stride` for both."""
        both = self.fields.integer("stride", 1, low=1)
        return (
            self.fields.integer("stride_y", both, low=1),
            self.fields.integer("stride_x", both, low=1),
        )

    def flat(self) -> str:
        """The input as features."""
        if len(self.shape) == 1:
            return self.input
        return self.add(Flatten(), self.input, part="flatten")
