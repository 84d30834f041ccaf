"""The plans that cuDNN lists for a graph, and what it notes of each.

cuDNN's front end is asked with a description of a GPU in place of a GPU ("deviceless", see
https://docs.nvidia.com/deeplearning/cudnn/frontend/latest/utilities/deviceless-ahead-of-time-compilation.html).
Its `check_support` and `build` ask for a real one, so plans are finalised one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import cudnn
from convserve.errors import UnsupportedError

from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.planners.cudnn.graphs import new_graph
from convserve_server.planners.cudnn.messages import NEEDS_DRIVER
from convserve_server.planning.kernels import Candidate

# How cuDNN ranks: by measurements, then what always works, then by a model that knows more engines.
RANKINGS = ("A", "FALLBACK", "B")
MAX_FAILURE_CHARS = 200

# The library filters its plans by such a note, but tells nobody which ones a plan has.
NOTES = (
    "TENSOR_CORE",
    "DOWN_CONVERT_INPUTS",
    "REDUCED_PRECISION_REDUCTION",
    "NONDETERMINISTIC",
    "WINOGRAD",
    "FFT",
    "STRICT_NAN_PROP",
)
_LEFT_OUT = "Deselecting execution plan"  # why a plan that was filtered out cannot be built


class PlanList:
    """The plans for a graph, best first. None is built yet."""

    def __init__(
        self, graph: ConvGraph, device: Any, rankings: Sequence[str], note: str = ""
    ) -> None:
        """Those that have a numerical `note`, if one is given; the others cannot be built.

        Raises UnsupportedError where cuDNN has none.
        """
        self.graph = graph
        self._device = device
        self._rankings = rankings
        self._made = new_graph(graph, device)
        try:
            self._made.validate()
            self._made.build_operation_graph()
            self._made.create_execution_plans([getattr(cudnn.heur_mode, r) for r in rankings])
        except (RuntimeError, cudnn.cudnnGraphNotSupportedError) as error:
            raise UnsupportedError(
                f"cuDNN takes no such convolution: {_why(error, graph)}"
            ) from None
        if note:
            self._made.select_numeric_notes([getattr(cudnn.numerical_note, note)])
        count = self._made.get_execution_plan_count()
        self.names = tuple(self._made.get_plan_name_at_index(index) for index in range(count))
        self.engines = frozenset(Candidate(name).engine for name in self.names)

    def build(self, index: int) -> Candidate:
        """Make a plan, which `serialize` then gives, and tell what is known without numerics."""
        name = self.names[index]
        try:
            self._made.build_plan_at_index(index)
        except (RuntimeError, cudnn.cudnnGraphNotSupportedError) as error:
            return Candidate(name, failure=_short(error))
        notes = self._made.get_behavior_notes_for_plan_at_index(index)
        return Candidate(
            name,
            self._made.get_workspace_size_plan_at_index(index),
            tuple(note.name for note in notes),
        )

    def serialize(self) -> bytes:
        """The plan that was built last, as `pygraph.deserialize` takes it in a list of bytes."""
        return bytes(self._made.serialize())

    def notes(self, engines: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The numerical notes of each of these engines, which are those of all its plans."""
        having = {note: self._having(note, engines) for note in NOTES}
        return {e: tuple(note for note in NOTES if e in having[note]) for e in engines}

    def _having(self, note: str, engines: Collection[str]) -> frozenset[str]:
        plans = PlanList(self.graph, self._device, self._rankings, note)
        firsts: dict[str, int] = {}
        for index, name in enumerate(plans.names):
            firsts.setdefault(Candidate(name).engine, index)
        return frozenset(e for e in engines if plans.build(firsts[e]).failure != _LEFT_OUT)


def _why(error: BaseException, graph: ConvGraph) -> str:
    text = str(error)
    if graph.is_fused and "PREREQUISITE_MISSING" in text:
        return NEEDS_DRIVER
    return "it has no engine for it on this GPU" if "No valid engine" in text else _short(error)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:MAX_FAILURE_CHARS]
