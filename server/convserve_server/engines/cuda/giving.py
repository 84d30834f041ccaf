"""A recipe's commands, given to a lane on buffers that lie at certain addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from attrs import frozen
from convserve.tensors import dtype_of, empty

from convserve_server.engines.cuda.device import Lane
from convserve_server.engines.cuda.kernels import pack
from convserve_server.engines.cuda.loading import Loaded
from convserve_server.engines.cuda.recipe import Command, Convolve, Launch, OnHost, Transform
from convserve_server.engines.cuda.transfers import Fetch, fetch, send
from convserve_server.engines.cuda.views import View
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.program import work_outputs, work_tensors


@frozen
class Site:
    """A recipe's buffers in device memory: one piece of it for weights, one for all else.

    Where the addresses are the same, so are the recipe's commands.
    """

    loaded: Loaded
    working: int
    lasting: int

    def buffer_of(self, view: View) -> int:
        """The address of the view's buffer."""
        placement = self.loaded.placement
        start = self.lasting if view.buffer in placement.lasting else self.working
        return start + placement.offsets[view.buffer]

    def address_of(self, view: View) -> int:
        """The address of the view's first element."""
        return self.buffer_of(view) + view.offset * view.item_bytes

    def give(self, commands: Iterable[Command], lane: Lane) -> None:
        """Give commands to a lane, in their order."""
        for command in commands:
            self._give(command, lane)

    def fetch(self, lane: Lane, views: Sequence[View]) -> list[Fetch]:
        """Copy contiguous views to new arrays of the host."""
        places = [np.empty(view.shape, dtype_of(view.dtype)) for view in views]
        return [
            fetch(lane, view, self.buffer_of(view), place)
            for view, place in zip(views, places, strict=True)
        ]

    def _give(self, command: Command, lane: Lane) -> None:
        executables = self.loaded.executables
        match command:
            case Launch():
                arguments = pack(command, self.address_of)
                lane.launch(executables[command.instance], arguments, command.count)
            case Convolve():
                operands = {role: self.address_of(view) for role, view in command.operands.items()}
                space = 0 if command.workspace is None else self.address_of(command.workspace)
                lane.convolve(executables[command.graph], operands, space)
            case Transform():
                views = (command.source, command.target, command.workspace)
                lane.transform(command, *map(self.address_of, views))
            case OnHost():
                self._compute(command, lane)

    def _compute(self, command: OnHost, lane: Lane) -> None:
        """Have the reference engine compute something, while the lane waits."""
        given = self.fetch(lane, command.tensors)
        lane.mark().wait()
        names = [spec.name for spec in work_tensors(command.work)]
        tensors = {name: each.finish() for name, each in zip(names, given, strict=True)}
        (spec,) = work_outputs(command.work)
        result = empty(spec)
        ReferenceEngine().run(command.work, tensors, {spec.name: result})
        sent = send(lane, result, command.output, self.buffer_of(command.output))
        lane.mark().wait()
        del sent  # it had to stay until then
