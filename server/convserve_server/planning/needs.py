"""What a network needs of a device: memory over its steps, and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen
from convserve.plans import Plan, TimeEstimate

from convserve_server.planning.devices import DeviceProfile
from convserve_server.planning.fit import Offer, check_fit, find_max_batch
from convserve_server.planning.graph import Node, Sample, steps_of
from convserve_server.planning.limits import check_counts
from convserve_server.planning.memory import Moment, find_peak, inference_moments
from convserve_server.planning.program import Advice, Advisor, Step, Survey
from convserve_server.planning.timing import TRAINING_FACTOR, layer_costs, roofline
from convserve_server.planning.training import training_moments

_TRAINING_NOTE = (
    "training is modelled on PyTorch's autograd: each layer keeps what its gradient needs, and the "
    "workspace of gradients is counted where kernels are known"
)


@frozen
class Needs:
    """A network on a device, for `batch` samples; one step of training if an optimizer is named.

    Layers are fused only in inference.
    """

    nodes: Sequence[Node]
    inputs: Mapping[str, Sample]
    outputs: Sequence[str]
    advisor: Advisor
    optimizer: str
    batch: int
    steps: Sequence[Step] = field(init=False)
    survey: Survey = field(init=False)
    moments: Sequence[Moment] = field(init=False)
    peak: Moment = field(init=False)

    @steps.default
    def _find_steps(self) -> Sequence[Step]:
        return steps_of(self.nodes, self.batch)

    @survey.default
    def _find_survey(self) -> Survey:
        return self._survey_of(self.steps)

    @moments.default
    def _find_moments(self) -> Sequence[Moment]:
        return self._moments_of(self.survey.advices)

    @peak.default
    def _find_peak(self) -> Moment:
        return find_peak(self.moments, self.batch)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the memory."""
        caveats = tuple(advice.caveat for advice in self.survey.advices)
        return (*caveats, _TRAINING_NOTE) if self.optimizer else caveats

    def moments_at(self, batch: int) -> Sequence[Moment]:
        """The moments of another batch."""
        return self._moments_of(self._survey_of(steps_of(self.nodes, batch)).advices)

    def times(self, profile: DeviceProfile | None, precision: str) -> Mapping[str, TimeEstimate]:
        """How long each layer takes forward that is not taken along, where rates are known."""
        dtype = next(iter(self.inputs.values())).dtype
        roof = roofline(profile, dtype, precision) if profile else None
        if roof is None:
            return {}
        costs = layer_costs(self.nodes, self.survey.advices, self.batch)
        estimates = {cost: roof.layer(cost) for cost in set(costs.values())}  # many are equal
        return {name: estimates[cost] for name, cost in costs.items()}

    def _survey_of(self, steps: Sequence[Step]) -> Survey:
        if self.optimizer:
            return Survey(tuple(map(self.advisor.advise, steps)))
        return self.advisor.survey(steps, self.outputs)

    def _moments_of(self, advices: Sequence[Advice]) -> Sequence[Moment]:
        if self.optimizer:
            return training_moments(self.nodes, self.inputs, self.outputs, advices, self.optimizer)
        return inference_moments(self.nodes, self.inputs, self.outputs, advices)


def add_memory(plan: Plan, needs: Needs) -> Plan:
    """The plan with its timeline and peak. Raises TooLargeError."""
    peak, batch, survey = needs.peak, needs.batch, needs.survey
    check_counts("bytes at the peak", peak.byte_count(batch))
    running = survey.resident_bytes + survey.spare_bytes
    starting = plan.weight_bytes + survey.start_bytes - peak.byte_count(batch)
    return evolve(
        plan,
        peak_memory_bytes=peak.byte_count(batch),
        peak_memory_fixed_bytes=peak.fixed_bytes,
        peak_memory_per_sample_bytes=peak.per_sample_bytes,
        peak_layer=peak.layer,
        timeline=tuple(moment.at(batch) for moment in needs.moments),
        training=bool(needs.optimizer),
        optimizer=needs.optimizer,
        engine_bytes=max(running, starting),
    )


def add_device(
    plan: Plan, needs: Needs, profile: DeviceProfile, precision: str, *, max_batch: bool
) -> Plan:
    """The plan with its fit, the largest batch if it is asked for, and the time of all layers."""
    offer = Offer(profile.name, profile.memory_bytes)
    fit = check_fit(needs.peak, needs.batch, offer)
    if max_batch:
        fit = find_max_batch(fit, needs.moments_at, offer)
    roof = roofline(profile, plan.inputs[0].dtype, precision)
    if roof is None:
        return evolve(plan, fit=fit)
    moved = (
        *needs.inputs.values(),
        *(n.output for n in needs.nodes if n.output.name in needs.outputs),
    )
    factor = TRAINING_FACTOR if needs.optimizer else 1
    layers = [layer.time for layer in plan.layers if layer.time]
    moved_bytes = needs.batch * sum(sample.byte_count for sample in moved)
    return evolve(plan, fit=fit, time=roof.total(layers, moved_bytes, factor))
