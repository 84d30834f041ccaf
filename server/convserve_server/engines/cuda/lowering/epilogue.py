"""What is done to the sums of a convolution, in a pass of its own where they were made without."""

from __future__ import annotations

from collections.abc import Mapping

from convserve_server.engines.cuda.graphs import BIAS, RESIDUAL
from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.lowering.packs import pack_size
from convserve_server.engines.cuda.lowering.selection import Problem
from convserve_server.engines.cuda.views import View


def finish(builder: Builder, problem: Problem, tensors: Mapping[str, View]) -> None:
    """Add the bias and the residual to the result, and apply the activation, where it lies.

    The result fills a buffer, with the channels last.
    """
    if not problem.has_epilogue:
        return
    result, function = tensors[problem.result], problem.activation
    channels = result.shape[1]
    pack = pack_size(result.dtype)
    packed = channels % pack == 0
    builder.launch(
        "EpiloguePacked" if packed else "Epilogue",
        (result.dtype,),
        *(result, tensors.get(BIAS, result), tensors.get(RESIDUAL, result)),
        *(channels, int(problem.bias), int(problem.residual)),
        *(function.code, function.alpha, function.beta),
        count=result.element_count // pack if packed else result.element_count,
    )
