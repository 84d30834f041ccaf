"""cuDNN as a `KernelPlanner`, and as what makes plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import cudnn
from attrs import evolve
from convserve.errors import UnsupportedError

from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.planners.cudnn.plans import RANKINGS, PlanList
from convserve_server.planning.devices.properties import DeviceProperties
from convserve_server.planning.kernels import (
    Candidate,
    Convolution,
    Offer,
    Policy,
    choose,
    count_objections,
    explain_choice,
)

Notes: TypeAlias = tuple[str, ...]

UNIVERSAL = "eng0"  # takes everything, and is slow


class CudnnPlanner:
    """Asks cuDNN for one kind of GPU. Used by one thread.

    Which numerical notes an engine has is found by filtering, once for each pattern of a graph:
    they are the engine's, whatever the shapes and the knobs.
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
        self._library = f"cuDNN {self.version}"
        self._name = properties.device
        self._device = cudnn.create_device_properties(properties.text)
        self._notes: dict[object, dict[str, Notes]] = {}

    def offer(self, convolution: Convolution) -> Offer:
        """See `KernelPlanner`."""
        plans = PlanList(ConvGraph(convolution), self._device, RANKINGS[:2])
        candidates = [self._build(plans, index) for index in range(len(plans.names))]
        return Offer(self._library, tuple(candidates))

    def prepare(self, graph: ConvGraph, policy: Policy) -> Prepared:
        """The best plan that the policy allows, by the first ranking that has one, or why none.

        The universal engine is taken only where no ranking has another that may be used, and only
        for a convolution alone: it costs more than it saves to have something done at once.
        """
        universal: Prepared | None = None
        failures: list[str] = []
        for ranking in RANKINGS:
            try:
                plans = PlanList(graph, self._device, (ranking,))
            except UnsupportedError as error:
                failures.append(error.message)
                continue
            found = self._take(plans, ranking, policy)
            if found.failure:
                failures.append(found.failure)
            elif self._has_choice(plans, policy):
                return found
            else:
                universal = universal or found
        if universal and not graph.is_fused:
            return universal
        if universal:
            failures.append(f"its {UNIVERSAL} could, which is slow")
        return Prepared(failure="; ".join(dict.fromkeys(failures)))

    def _take(self, plans: PlanList, ranking: str, policy: Policy) -> Prepared:
        """The first plan that is allowed."""
        convolution = plans.graph.convolution
        offer = Offer(self._library, tuple(self._judge(plans, policy)))
        kernels = choose(offer, convolution.dtype, convolution.direction, policy)
        source = f"{self._library}, in its ranking {ranking},"
        reason = explain_choice(kernels, len(plans.names), source, self._name)
        chosen = next((kernel for kernel in kernels if kernel.chosen), None)
        if chosen is None:
            return Prepared(failure=f"{reason}: {count_objections(kernels)}")
        return Prepared(
            name=chosen.name,
            workspace_bytes=chosen.workspace_bytes,
            rank=chosen.rank,
            notes=chosen.notes,
            reason=f"{convolution.direction}: {reason}",
            blob=plans.serialize(),
        )

    def _judge(self, plans: PlanList, policy: Policy) -> Iterator[Candidate]:
        """The candidates up to the first that is allowed. What its notes forbid is not built."""
        dtype = plans.graph.convolution.dtype
        for index, name in enumerate(plans.names):
            candidate = Candidate(name, notes=self._notes_of(plans, name))
            if not policy.objection(candidate, dtype):
                candidate = self._build(plans, index)
            yield candidate
            if not policy.objection(candidate, dtype):
                return

    def _has_choice(self, plans: PlanList, policy: Policy) -> bool:
        """Whether there are engines beside the universal one, by what is noted of them."""
        dtype = plans.graph.convolution.dtype
        return any(
            not policy.objection(Candidate(engine, notes=self._notes_of(plans, engine)), dtype)
            for engine in plans.engines - {UNIVERSAL}
        )

    def _build(self, plans: PlanList, index: int) -> Candidate:
        built = plans.build(index)
        if built.failure:
            return built
        return evolve(built, notes=(*self._notes_of(plans, built.name), *built.notes))

    def _notes_of(self, plans: PlanList, name: str) -> Notes:
        """The numerical notes of a plan's engine."""
        graph = plans.graph
        kind = (graph.convolution.direction, graph.convolution.dtype, len(graph.convolution.stride))
        epilogue = (graph.bias, graph.residual, graph.activation)
        known = self._notes.setdefault((*kind, *epilogue), {})
        if not plans.engines <= known.keys():
            known.update(plans.notes(plans.engines - known.keys()))
        return known[Candidate(name).engine]


def _release(version: str) -> list[str]:
    """Major and minor: what the set of properties that cuDNN asks for depends on."""
    return version.split(".")[:2]
