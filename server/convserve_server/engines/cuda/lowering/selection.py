"""Which algorithm computes a convolution, and why none of the others does.

Each tells first what it can never do, and the seconds that it would take by a model: the time of
its arithmetic or of its memory traffic, whichever is longer, at rates that are kept as data in
selection.json. The fastest that is possible is taken; only that one is looked up among cuDNN's
plans, so whatever is slower need not be asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from attrs import frozen
from convserve.plans import Kernel
from convserve.tensors import Shape, dtype_of

from convserve_server.engines.cuda.graphs import INPUT, OUTPUT, WEIGHT
from convserve_server.engines.cuda.lowering.activation import NO_ACTIVATION, Activation
from convserve_server.engines.cuda.lowering.builder import Builder, Plans
from convserve_server.engines.cuda.views import View
from convserve_server.planning.kernels import FORWARD, INPUT_GRADIENT, Convolution

RATES = Path(__file__).parent.parent / "selection.json"


@frozen
class Problem:
    """A convolution in some direction, and what is done to its sums.

    `bias` is per channel of the result, `residual` of its shape; `activation` comes last.
    `is_gradient`: an adjoint, which takes the conjugate of what it is not for.
    """

    convolution: Convolution
    bias: bool = False
    residual: bool = False
    activation: Activation = NO_ACTIVATION
    is_gradient: bool = False

    @property
    def has_epilogue(self) -> bool:
        """Whether anything is done to the sums."""
        return self.bias or self.residual or bool(self.activation.kind)

    @property
    def result(self) -> str:
        """The role of what is made."""
        return {FORWARD: OUTPUT, INPUT_GRADIENT: INPUT}.get(self.convolution.direction, WEIGHT)

    @property
    def operand(self) -> str:
        """The role of what is read, beside the weight (or for its gradient, the output's)."""
        return INPUT if self.convolution.direction == FORWARD else OUTPUT

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the convolution's three tensors by role."""
        conv = self.convolution
        return {INPUT: conv.input, WEIGHT: conv.weight, OUTPUT: conv.output}

    @property
    def is_empty(self) -> bool:
        """Whether no sum has any term: the result is 0, or has no elements."""
        return any(0 in shape for shape in self.shapes.values())

    @property
    def groups(self) -> int:
        """The independent groups of channels."""
        return self.convolution.input[1] // self.convolution.weight[1]

    @property
    def is_depthwise(self) -> bool:
        """Whether each kernel reads one channel of several."""
        return self.convolution.weight[1] == 1 and self.convolution.input[1] > 1

    @property
    def group_channels(self) -> int:
        """The output channels of each group; 1 where there are none."""
        conv = self.convolution
        return max(1, conv.weight[0] * conv.weight[1] // max(1, conv.input[1]))

    @property
    def flop_count(self) -> int:
        """A multiplication and an addition for each tap of each output."""
        conv = self.convolution
        return 2 * math.prod(conv.output) * math.prod(conv.weight[1:])

    @property
    def byte_count(self) -> int:
        """The bytes of all tensors."""
        counts = map(math.prod, self.shapes.values())
        residual_bytes = self.result_bytes if self.residual else 0
        return sum(counts) * dtype_of(self.convolution.dtype).itemsize + residual_bytes

    @property
    def result_bytes(self) -> int:
        """The bytes of what is made."""
        return math.prod(self.shapes[self.result]) * dtype_of(self.convolution.dtype).itemsize


@frozen
class Offer:
    """What an algorithm has for a problem, if it has no `failure`: its name in full, and why."""

    name: str
    workspace_bytes: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""
    failure: str = ""


class Algorithm(Protocol):
    """One way to compute convolutions on the device."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def refusal(self, problem: Problem) -> str:
        """Why it can never compute the problem, or nothing."""
        ...

    def seconds(self, problem: Problem) -> float:
        """How long it would take, by the model."""
        ...

    def ask(self, problem: Problem, plans: Plans) -> Offer:
        """What it has for a problem that it does not refuse."""
        ...

    def emit(self, builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
        """Give the commands that fill the result.

        Of `tensors`, by role (`graphs.ROLES`), all lie with the channels last and are of the
        problem's type. There is a bias or a residual where the problem has one.
        """
        ...


@frozen
class Verdict:
    """What an algorithm says to a problem before it is asked: why not, or in how many seconds."""

    algorithm: Algorithm
    refusal: str
    seconds: float = math.inf


@frozen
class Selection:
    """The algorithm that was taken, what it offers, and all that were looked at, best first."""

    algorithm: Algorithm
    offer: Offer
    kernels: tuple[Kernel, ...]
    reason: str


def judge(problem: Problem, algorithms: Iterable[Algorithm]) -> tuple[Verdict, ...]:
    """The verdicts of all algorithms, the fastest first. They are always the same."""
    verdicts = []
    for algorithm in algorithms:
        refusal = algorithm.refusal(problem)
        seconds = math.inf if refusal else algorithm.seconds(problem)
        verdicts.append(Verdict(algorithm, refusal, seconds))
    return tuple(sorted(verdicts, key=lambda verdict: verdict.seconds))


def select(problem: Problem, verdicts: Iterable[Verdict], plans: Plans) -> Selection:
    """The fastest algorithm that has something for the problem.

    Raises LookupError if none has.
    """
    rejected: dict[str, str] = {}
    chosen: tuple[Verdict, Offer] | None = None
    for verdict in verdicts:
        name = verdict.algorithm.name
        if verdict.refusal:
            rejected[name] = verdict.refusal
        elif chosen:
            rejected[name] = _slower(verdict, chosen[0])
        elif (offer := verdict.algorithm.ask(problem, plans)).failure:
            rejected[name] = offer.failure
        else:
            chosen = verdict, offer
    if chosen is None:
        raise LookupError(f"no algorithm for {problem}: {rejected}")
    verdict, offer = chosen
    kernels = _kernels(problem, offer, rejected)
    return Selection(verdict.algorithm, offer, kernels, _reason(offer, verdict.seconds, rejected))


@frozen
class Rates:
    """What an algorithm is assumed to reach on a device.

    It computes whole tiles of `channel_tile` output channels, whether they are there or not.
    """

    launch_seconds: float
    bytes_per_second: float
    flops_per_second: Mapping[str, float]
    channel_tile: int = 1

    def flop_rate(self, dtype: str) -> float:
        """How many multiplications and additions of a type it makes in a second."""
        family = {"i": "integer", "u": "integer", "c": "complex"}.get(dtype_of(dtype).kind)
        return self.flops_per_second[family or dtype]

    def seconds(self, problem: Problem, *, passes: int = 0) -> float:
        """The time of the arithmetic or of the memory, and of more passes over the result."""
        rate = self.flop_rate(problem.convolution.dtype)
        channels = problem.group_channels
        tiled = -(-channels // self.channel_tile) * self.channel_tile
        flops = problem.flop_count * tiled / channels
        sums = max(flops / rate, problem.byte_count / self.bytes_per_second)
        passing = self.launch_seconds + 2 * problem.result_bytes / self.bytes_per_second
        return self.launch_seconds + sums + passes * passing


@cache
def rates_of(name: str) -> Rates:
    """The assumed rates of a row of selection.json."""
    data = json.loads(RATES.read_text())
    row = data["algorithms"][name]
    bytes_per_second = row["bandwidth"] * data["bytes_per_second"]
    tile = row.get("channel_tile", 1)
    return Rates(data["launch_seconds"], bytes_per_second, row["flops_per_second"], tile)


def _slower(verdict: Verdict, chosen: Verdict) -> str:
    return f"{verdict.seconds / chosen.seconds:.1f} times as long by assumed rates"


def _kernels(problem: Problem, offer: Offer, rejected: Mapping[str, str]) -> tuple[Kernel, ...]:
    direction = problem.convolution.direction if problem.is_gradient else FORWARD
    chosen = Kernel(
        direction=direction,
        name=offer.name,
        workspace_bytes=offer.workspace_bytes,
        notes=offer.notes,
        chosen=True,
    )
    others = (
        Kernel(direction=direction, name=name, workspace_bytes=0, rank=place, rejected_because=text)
        for place, (name, text) in enumerate(rejected.items(), 1)
    )
    return (chosen, *others)


def _reason(offer: Offer, seconds: float, rejected: Mapping[str, str]) -> str:
    because = f" ({offer.reason})" if offer.reason else ""
    texts = [f"{offer.name}{because}: about {seconds * 1e6:.3g} us by assumed rates"]
    texts += [f"not {name}: {text}" for name, text in rejected.items()]
    return "; ".join(texts)
