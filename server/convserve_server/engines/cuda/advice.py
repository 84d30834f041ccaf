"""How the cuda engine runs a step, for plans and for admission: told from the recipe itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen
from convserve.runs import StepRecord
from msgspec.structs import replace

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.checks import FINITE
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.lowering import Plans, lower
from convserve_server.engines.cuda.placing import place
from convserve_server.engines.cuda.recipe import (
    Command,
    Convolve,
    Instance,
    Launch,
    OnHost,
    Recipe,
    Stretch,
    touched,
)
from convserve_server.engines.cuda.views import View
from convserve_server.planning.inputs import CHANNELS_FIRST
from convserve_server.planning.program import (
    Advice,
    Advisor,
    OperationStep,
    Program,
    Step,
    Survey,
    Work,
    work_outputs,
)

# More than any device has.
TOO_LARGE_BYTES = 1 << 50
WORKSPACE_LIMIT_BYTES = 1 << 30  # where nobody says what it is
_CACHE_BYTES = 1 << 20
_ENTRY_BYTES = 1 << 10  # of a size that is kept, and of each step of its work
_NOT_ASKED = "cuDNN was not asked yet: its workspaces are counted at their limit"


@frozen
class NoPlans:
    """Plans of which none is known."""

    workspace_limit_bytes: int = WORKSPACE_LIMIT_BYTES

    def find(self, graph: ConvGraph) -> Prepared | None:
        """See `Plans`."""
        return None


@frozen
class Wanted:
    """What must be built before some work can run: graphs of cuDNN not known yet, and kernels."""

    graphs: tuple[ConvGraph, ...]
    instances: tuple[Instance, ...]


def workspace_limits(limit_bytes: int) -> tuple[int, ...]:
    """The limits of cuDNN's workspace to try for work that does not fit, before it is split."""
    return tuple(dict.fromkeys((limit_bytes, limit_bytes // 8, 0)))


class CudaAdvisor(Advisor):
    """Says what the cuda engine does with a step, by what `plans` know of cuDNN.

    Its sizes are exact where they know all; else they are upper bounds. Imports no compute library.
    """

    def __init__(
        self,
        threads: int | None = None,
        plans: Plans | None = None,
        layout: str = CHANNELS_FIRST,
    ) -> None:
        """`threads` is what every advisor is offered: the engine's threads are the GPU's.

        `layout` is that of inputs and results as they lie on the host.
        """
        self._plans = plans or NoPlans()
        self._layout = layout
        self._sizes: ByteCache[Work, int] = ByteCache(_CACHE_BYTES)

    def wanted(self, work: Work) -> Wanted:
        """What is not known yet of what the work takes.

        With it known, lowering may want something else: where cuDNN has no graph with all steps of
        a run, the next is asked for. So ask again, until there are no graphs.
        """
        recipes = self._ways(work)
        graphs = dict.fromkeys(graph for each in recipes for graph in self._unknown(each.commands))
        instances = dict.fromkeys(kernel for each in recipes for kernel in each.instances)
        return Wanted(tuple(graphs), tuple(instances))

    def working_bytes(self, work: Work) -> int:
        """All the device memory that the work takes, tensors included.

        A network with images that are too large for cuDNN takes more than there is: it must be
        split.
        """
        known = self._sizes.get(work)
        if known is not None:
            return known
        recipes = self._ways(work)
        size = max(place(recipe).byte_count for recipe in recipes)
        if isinstance(work, Program) and any(map(_wants_tiles, recipes)):
            size += TOO_LARGE_BYTES
        if not any(self._unknown(recipe.commands) for recipe in recipes):
            steps = len(work.steps) if isinstance(work, Program) else 1
            self._sizes.put(work, size, _ENTRY_BYTES * (1 + steps))
        return size

    def advise(self, step: Step | OperationStep) -> Advice:
        """See `Advisor.advise`."""
        if isinstance(step, Step):
            (advice,) = self.survey((step,), (step.output.name,)).advices
            return advice
        recipe = self._lower(step)
        (advice,) = self._advise_layers(recipe, _users(recipe)).values()
        return advice

    def survey(self, steps: Sequence[Step], outputs: Sequence[str]) -> Survey:
        """See `Advisor.survey`: steps of a run are taken along by its first."""
        recipe = self._lower(_program(steps, outputs))
        users = _users(recipe)
        advices = self._advise_layers(recipe, users)
        copies = (name for name, layers in users.items() if layers == {""})
        return Survey(
            tuple(advices[step.output.name] for step in steps),
            resident_bytes=_resident_bytes(recipe),
            spare_bytes=sum(recipe.buffers[name] for name in copies),
        )

    def _lower(self, work: Work, *, fft: bool = True) -> Recipe:
        given = work.inputs if isinstance(work, Program) else ()
        names = (spec.name for spec in (*given, *work_outputs(work)))
        return lower(work, self._plans, dict.fromkeys(names, self._layout), fft=fft)

    def _ways(self, work: Work) -> list[Recipe]:
        """The recipe, and that which is taken where a check forbids its Fourier transforms."""
        recipes = [self._lower(work)]
        if any(check.kind == FINITE for check in recipes[0].checks):
            recipes.append(self._lower(work, fft=False))
        return recipes

    def _advise_layers(
        self, recipe: Recipe, users: Mapping[str, frozenset[str]]
    ) -> dict[str, Advice]:
        """The advice for each layer by its name, or for an operation by its kind."""
        records = {record.name: record for record in recipe.records}
        workspaces = _workspaces(recipe, users)
        parts: dict[str, list[Stretch]] = {}
        for stretch in recipe.stretches:
            parts.setdefault(stretch.layers[0], []).append(stretch)
        advices: dict[str, Advice] = {}
        for host, stretches in parts.items():
            layers = dict.fromkeys(name for part in stretches for name in part.layers)
            advice = self._advise(recipe, records[host], stretches, workspaces[host])
            advices |= {name: _taken(name, advice, host, records[name]) for name in layers}
        return advices

    def _advise(
        self,
        recipe: Recipe,
        record: StepRecord,
        stretches: Sequence[Stretch],
        workspace_bytes: int,
    ) -> Advice:
        """The advice for the layer that several stretches begin with."""
        commands = [c for part in stretches for c in recipe.commands[part.start : part.stop]]
        choices = [choice for part in stretches for choice in part.choices]
        reasons = [choice.reason for choice in choices] or [_describe(commands)]
        return Advice(
            record.engine,
            record.algorithm,
            workspace_bytes,
            "; then ".join(dict.fromkeys(reasons)),
            _NOT_ASKED if self._unknown(commands) else "",
            kernels=tuple(kernel for choice in choices for kernel in choice.kernels),
        )

    def _unknown(self, commands: Iterable[Command]) -> tuple[ConvGraph, ...]:
        graphs = dict.fromkeys(c.graph for c in commands if isinstance(c, Convolve))
        return tuple(graph for graph in graphs if self._plans.find(graph) is None)


def _workspaces(recipe: Recipe, users: Mapping[str, frozenset[str]]) -> Counter[str]:
    """By layer, the bytes of what nobody else touches, and is no tensor of the plan."""
    sizes = Counter[str]()
    known = {view.buffer for view in (*recipe.inputs.values(), *recipe.outputs.values())}
    for name, layers in users.items():
        if len(layers) == 1 and name not in known:
            sizes[min(layers)] += recipe.buffers[name]
    return sizes


def _users(recipe: Recipe) -> dict[str, frozenset[str]]:
    """Who touches each buffer that is not of weights: layers, or `` for bringing results home."""
    users: dict[str, set[str]] = {}
    hosts = {n: part.layers[0] for part in recipe.stretches for n in range(part.start, part.stop)}
    for number, command in enumerate(recipe.commands):
        for view in touched(command):
            users.setdefault(view.buffer, set()).add(hosts.get(number, ""))
    for view in (*recipe.weights.values(), *_prepared(recipe)):
        users.pop(view.buffer, None)
    return {name: frozenset(layers) for name, layers in users.items()}


def _prepared(recipe: Recipe) -> Iterator[View]:
    return (view for command in recipe.preparation for view in touched(command))


def _resident_bytes(recipe: Recipe) -> int:
    """What is made of weights, and stays as long as they."""
    given = {view.buffer for view in recipe.weights.values()}
    read = {view.buffer for command in recipe.commands for view in touched(command)}
    made = {view.buffer for view in _prepared(recipe)}
    return sum(recipe.buffers[name] for name in (made & read) - given)


def _wants_tiles(recipe: Recipe) -> bool:
    return any(choice.wants_tiles for part in recipe.stretches for choice in part.choices)


def _taken(name: str, advice: Advice, host: str, record: StepRecord) -> Advice:
    """The advice for a layer of a run: what it needs is needed once, by the first."""
    if name == host:
        return advice
    return replace(
        advice, algorithm=record.algorithm, workspace_bytes=0, kernels=(), fused_into=host
    )


def _describe(commands: Sequence[Command]) -> str:
    """What computes a step, where there was no choice."""
    if any(isinstance(command, OnHost) for command in commands):
        return "the reference engine, on the host: there is no kernel for it"
    names = dict.fromkeys(c.instance.struct for c in commands if isinstance(c, Launch))
    if not names:
        return "another view of what is there: nothing is copied"
    return f"kernels of ours: {', '.join(names)}"


def _program(steps: Sequence[Step], outputs: Sequence[str]) -> Program:
    """The steps as a program; its inputs are what they read and none of them makes."""
    made = {step.output.name for step in steps}
    read = {spec.name: spec for step in steps for spec in step.inputs if spec.name not in made}
    return Program(tuple(read.values()), tuple(steps), tuple(outputs))
