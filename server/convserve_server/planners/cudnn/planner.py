"""cuDNN as a `KernelPlanner`."""

from __future__ import annotations

from typing import TypeAlias

import cudnn
from attrs import evolve
from convserve.errors import UnsupportedError

from convserve_server.planners.cudnn.graphs import NOTES, plans_of, plans_with
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import Candidate, Convolution, Offer

Notes: TypeAlias = tuple[str, ...]


class CudnnPlanner:
    """Asks cuDNN for one kind of GPU. Used by one thread.

    Which numerical notes an engine has is found by filtering, once for each direction, dtype and
    number of axes: they are the engine's, whatever the shapes and the knobs.
    """

    def __init__(self, properties: DeviceProperties) -> None:
        """Raises UnsupportedError if the properties are for another version of cuDNN."""
        self.version = cudnn.backend_version_string()
        if _release(properties.for_cudnn) != _release(self.version):
            raise UnsupportedError(
                f"the properties of {properties.device} are for cuDNN {properties.for_cudnn}, and "
                f"cuDNN {self.version} is installed: pip install 'convserve-server[cudnn]'",
                metadata={"value": self.version},
            )
        self._device = cudnn.create_device_properties(properties.text)
        self._notes: dict[tuple[str, str, int], dict[str, Notes]] = {}

    def offer(self, convolution: Convolution) -> Offer:
        """See `KernelPlanner`."""
        plans = tuple(plans_of(convolution, self._device))
        notes = self._notes_of(convolution, plans)
        candidates = (
            plan if plan.failure else evolve(plan, notes=(*notes[plan.engine], *plan.notes))
            for plan in plans
        )
        return Offer(f"cuDNN {self.version}", tuple(candidates))

    def _notes_of(self, convolution: Convolution, plans: tuple[Candidate, ...]) -> dict[str, Notes]:
        """The numerical notes of each engine that has a plan."""
        kind = (convolution.direction, convolution.dtype, len(convolution.input))
        known = self._notes.setdefault(kind, {})
        if any(plan.engine not in known for plan in plans if not plan.failure):
            having = {note: plans_with(note, convolution, self._device) for note in NOTES}
            for plan in plans:
                known[plan.engine] = tuple(note for note in NOTES if plan.name in having[note])
        return known


def _release(version: str) -> list[str]:
    """Major and minor: what the set of properties that cuDNN asks for depends on."""
    return version.split(".")[:2]
