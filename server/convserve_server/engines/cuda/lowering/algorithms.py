"""The algorithms for convolutions, and how one is computed by that which suits it best."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from attrs import evolve

from convserve_server.engines.cuda.graphs import BIAS
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.cudnn import Cudnn, is_too_large
from convserve_server.engines.cuda.lowering.depthwise import Depthwise
from convserve_server.engines.cuda.lowering.direct import Direct
from convserve_server.engines.cuda.lowering.epilogue import finish
from convserve_server.engines.cuda.lowering.fft import Fft
from convserve_server.engines.cuda.lowering.selection import (
    Algorithm,
    Problem,
    Verdict,
    judge,
    select,
)
from convserve_server.engines.cuda.recipe import Choice
from convserve_server.engines.cuda.views import View

ALGORITHMS: tuple[Algorithm, ...] = (
    Cudnn(is_fused=True),
    Cudnn(is_fused=False),
    Depthwise(),
    Direct(),
    Fft(),
)


@lru_cache(maxsize=4096)
def verdicts(problem: Problem, *, fft: bool = True) -> tuple[Verdict, ...]:
    """What all algorithms say to a problem; networks have many that are equal.

    Without `fft` those that would spread what is not finite are left out.
    """
    return judge(problem, [a for a in ALGORITHMS if fft or not isinstance(a, Fft)])


def compute(builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> str:
    """Give the commands that fill the result of a problem; returns the algorithm's name.

    `tensors` are as `Algorithm.emit` takes them.
    """
    if problem.is_empty:
        return _compute_nothing(builder, problem, tensors)
    selection = select(problem, verdicts(problem, fft=builder.fft), builder.plans)
    selection.algorithm.emit(builder, problem, tensors)
    wants_tiles = isinstance(selection.algorithm, Direct) and is_too_large(problem)
    builder.choices.append(Choice(selection.reason, selection.kernels, wants_tiles))
    return selection.offer.name


def _compute_nothing(builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> str:
    """Sums without a term."""
    result = tensors[problem.result]
    if problem.bias:
        builder.copy(result, tensors[BIAS].along(1, result.shape))
    else:
        builder.fill(result, 0.0)
    finish(builder, evolve(problem, bias=False), tensors)
    builder.choices.append(Choice("there is nothing to sum up"))
    return "fill"
