"""Networks that were something else before, and bring what a call may leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from convserve.networks import Network
from convserve.tensors import TensorSpec

if TYPE_CHECKING:
    from convserve_client._imported import KeptWeights


@frozen
class ForeignNetwork(Network):
    """A network that is made of a file or a module. It may stand wherever a network may.

    `run` and `load` take its own `weights` where none are given, and `plan` its `input_specs`:
    those that it has been made with, -1 for a batch that is open, 0 for another open size. `notes`
    say what was left out, or done in another way.
    """

    input_specs: tuple[TensorSpec, ...] = field(default=(), kw_only=True, eq=False)
    weights: Mapping[str, Any] = field(factory=dict, kw_only=True, eq=False, repr=False)
    notes: tuple[str, ...] = field(default=(), kw_only=True, eq=False)

    @property
    def source(self) -> str:
        """What errors call it."""
        return "the network"

    @property
    def kept_weights(self) -> KeptWeights | None:
        """Its weights, if a server keeps them; None if `weights` are arrays."""
        return None
