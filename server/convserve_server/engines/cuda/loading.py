"""Recipes ready to run: lowered, placed, with their kernels and plans loaded on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from convserve.errors import NotBuiltError
from convserve.runs import StepRecord

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.device import Device, Executable
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.lowering import Plans, lower
from convserve_server.engines.cuda.placing import Placement, place
from convserve_server.engines.cuda.recipe import Instance, OnHost, Recipe
from convserve_server.planning.program import Program, Work

CACHE_BYTES = 64 << 20
COMMAND_BYTES = 2 << 10  # about what a command, or a step, takes in Python objects
EXECUTABLE_BYTES = 256 << 20
MODULE_BYTES = 64 << 10  # about what a loaded kernel or plan takes beside its code

Layouts: TypeAlias = tuple[tuple[str, str], ...]  # name -> channels_first or channels_last
_Thing: TypeAlias = ConvGraph | Instance
_Key: TypeAlias = tuple[Work, Layouts, str, bool]


class Shelf(Plans, Protocol):
    """What was built for one GPU under one policy: plans of cuDNN, and kernels of ours."""

    def kernel(self, instance: Instance) -> Prepared | None:
        """A compiled kernel; None if it has not been compiled yet."""
        ...


# By precision: each shelf has plans of smaller workspaces than the one before, for work that is too
# large with those.
Library: TypeAlias = Callable[[str], Sequence[Shelf]]


class Loaded:
    """A recipe, where its buffers lie, and what its commands run.

    One that is fleeting cannot be recorded.
    """

    def __init__(
        self, recipe: Recipe, placement: Placement, executables: Mapping[_Thing, Executable]
    ) -> None:
        self.recipe = recipe
        self.placement = placement
        self.executables = executables
        self.is_fleeting = any(isinstance(each, OnHost) for each in recipe.commands)

    @property
    def lasting_offsets(self) -> dict[str, int]:
        """Where prepared weights lie in their piece of memory."""
        return {name: self.placement.offsets[name] for name in self.placement.lasting}


class Loader:
    """Lowers work for what a library holds, and loads it. What was used last is kept."""

    def __init__(self, device: Device, library: Library) -> None:
        self._device = device
        self._library = library
        self._known: ByteCache[_Key, Loaded | _Thing] = ByteCache(CACHE_BYTES)
        self._executables: ByteCache[tuple[object, ...], Executable]
        self._executables = ByteCache(EXECUTABLE_BYTES)

    def find(self, work: Work, layouts: Layouts, precision: str, *, fft: bool) -> Loaded | None:
        """A recipe for the work, loaded; None if something of it has not been built yet."""
        key = (work, layouts, precision, fft)
        known = self._known.get(key)
        if isinstance(known, Loaded):
            return known
        shelves = self._library(precision)
        if known is not None and all(_find(shelf, known) is None for shelf in shelves):
            return None  # what was missing still is
        made = self._make(shelves, lambda shelf: lower(work, shelf, dict(layouts), fft=fft))
        self._known.put(key, made, _size(work, made))
        return made if isinstance(made, Loaded) else None

    def records(self, work: Work, precision: str) -> tuple[StepRecord, ...]:
        """How the work would be computed."""
        return lower(work, self._library(precision)[0], {}).records

    def _make(
        self, shelves: Sequence[Shelf], recipe_of: Callable[[Shelf], Recipe]
    ) -> Loaded | _Thing:
        """The first recipe that fits the device, or else the last; or what has not been built."""
        for shelf in shelves:
            recipe = recipe_of(shelf)
            missing = _missing(shelf, recipe)
            if missing is not None:
                return missing
            placement = place(recipe)
            if placement.byte_count <= self._device.byte_count:
                break
        executables = {thing: self._executable(shelf, thing) for thing in _things(recipe)}
        return Loaded(recipe, placement, executables)

    def _executable(self, shelf: Shelf, thing: _Thing) -> Executable:
        prepared = _find(shelf, thing)
        if prepared is None:
            raise NotBuiltError("a plan or kernel was dropped while it was loaded; call again")
        key = (thing, prepared.name, prepared.blob)
        made = self._executables.get(key)
        if made is None:
            if isinstance(thing, ConvGraph):
                made = self._device.load_plan(thing, prepared)
            else:
                made = self._device.load_kernel(thing, prepared)
            self._executables.put(key, made, MODULE_BYTES + 2 * len(prepared.blob))
        return made


def _size(work: Work, made: Loaded | _Thing) -> int:
    """About what the work and its recipe take in Python objects."""
    steps = len(work.steps) if isinstance(work, Program) else 1
    commands = len(made.recipe.commands) if isinstance(made, Loaded) else 0
    return COMMAND_BYTES * (steps + commands)


def _things(recipe: Recipe) -> dict[_Thing, None]:
    return dict.fromkeys((*recipe.graphs, *recipe.instances))


def _missing(shelf: Shelf, recipe: Recipe) -> _Thing | None:
    return next((thing for thing in _things(recipe) if _find(shelf, thing) is None), None)


def _find(shelf: Shelf, thing: _Thing) -> Prepared | None:
    return shelf.find(thing) if isinstance(thing, ConvGraph) else shelf.kernel(thing)
