"""Recipes carried out on a host device, command by command: what lowering is tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convserve.runs import StepRecord
from convserve.tensors import Array
from convserve_server.engines.cuda.checks import NotFiniteError, judge
from convserve_server.engines.cuda.graphs import Prepared
from convserve_server.engines.cuda.kernels import pack
from convserve_server.engines.cuda.lowering import Plans, lower
from convserve_server.engines.cuda.placing import Placement, place
from convserve_server.engines.cuda.recipe import (
    Command,
    Convolve,
    Launch,
    OnHost,
    Recipe,
    Transform,
)
from convserve_server.engines.cuda.views import View
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.inputs import CHANNELS_FIRST, CHANNELS_LAST
from convserve_server.planning.program import Work, work_outputs, work_tensors

from tests.fakes.host_convolution import array_at
from tests.fakes.host_device import HostDevice, HostPlans


class RecipeEngine:
    """See `Engine`: lowers, places and carries out every run afresh, in poisoned memory."""

    name = "cuda"

    def __init__(self, plans: Plans | None = None, byte_count: int = 64 << 20) -> None:
        self.device = HostDevice(byte_count)
        self.plans = plans or HostPlans()

    def run(
        self,
        work: Work,
        tensors: Mapping[str, Array],
        outputs: Mapping[str, Array],
        key: str = "",
        precision: str = "strict",
    ) -> tuple[StepRecord, ...]:
        """See `Engine.run`."""
        try:
            return self._run(work, tensors, outputs, fft=True)
        except NotFiniteError:
            return self._run(work, tensors, outputs, fft=False)

    def forget(self, key: str) -> None:
        """See `Engine.forget`. Nothing is kept."""

    def _run(
        self, work: Work, tensors: Mapping[str, Array], outputs: Mapping[str, Array], *, fft: bool
    ) -> tuple[StepRecord, ...]:
        layouts = {name: layout_of(each) for name, each in (*tensors.items(), *outputs.items())}
        recipe = lower(work, self.plans, layouts, fft=fft)
        _Run(self.device, recipe, place(recipe)).carry_out(tensors, outputs)
        return recipe.records


def structs_of(recipe: Recipe) -> list[str]:
    """The kernels that are launched, in their order."""
    return [each.instance.struct for each in recipe.commands if isinstance(each, Launch)]


def layout_of(array: Array) -> str:
    """How an array with its channels on axis 1 lies in memory."""
    if array.ndim < 3 or array.strides[1] >= array.strides[-1]:
        return CHANNELS_FIRST
    return CHANNELS_LAST


class _Run:
    def __init__(self, device: HostDevice, recipe: Recipe, placement: Placement) -> None:
        self._device = device
        self._recipe = recipe
        self._placement = placement
        self._lane = device.lane()
        assert placement.byte_count <= device.byte_count

    def carry_out(self, tensors: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        self._device.poison()
        recipe = self._recipe
        self._upload(recipe.weights, tensors)
        self._give(recipe.preparation)
        self._upload(recipe.inputs, tensors)
        self._give(recipe.commands)
        for check in recipe.checks:
            judge(check, [self.array(view) for view in check.values])
        for name, view in recipe.outputs.items():
            outputs[name][...] = self.array(view)

    def _upload(self, views: Mapping[str, View], tensors: Mapping[str, Array]) -> None:
        for name, view in views.items():
            if view.element_count:
                self.array(view)[...] = tensors[name]

    def array(self, view: View) -> Array:
        address = self._address(view)
        shape, strides = view.shape, view.strides
        assert all(stride >= 0 for stride in strides)
        return array_at(address, view.dtype, shape, strides)

    def _address(self, view: View) -> int:
        placement = self._placement
        start = 0 if view.buffer in placement.lasting else placement.lasting_bytes
        offset = start + placement.offsets[view.buffer] + view.offset * view.item_bytes
        return self._device.base + offset

    def _give(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Launch():
                    kernel = self._device.load_kernel(command.instance, Prepared(blob=b"host"))
                    self._lane.launch(kernel, pack(command, self._address), command.count)
                case Convolve():
                    operands = {role: self._address(v) for role, v in command.operands.items()}
                    self._lane.convolve(command.graph, operands, 0)
                case Transform():
                    source, target = self._address(command.source), self._address(command.target)
                    self._lane.transform(command, source, target, 0)
                case OnHost():
                    self._lane.mark().wait()
                    self._compute_on_host(command)
        self._lane.mark().wait()

    def _compute_on_host(self, command: OnHost) -> None:
        named = zip(work_tensors(command.work), command.tensors, strict=True)
        values = {spec.name: self.array(view) for spec, view in named}
        (output,) = work_outputs(command.work)
        ReferenceEngine().run(command.work, values, {output.name: self.array(command.output)})
