"""The one list of what each kind of layer is in ONNX."""

from __future__ import annotations

from collections.abc import Callable

from convserve.layers import Layer

from convserve_server.engines.cpu import (
    adaptive_nodes,
    conv_nodes,
    glue_nodes,
    nodes,
    norm_nodes,
    pool_nodes,
)
from convserve_server.engines.cpu.writer import Writer
from convserve_server.planning.program import Step

EMITTERS: dict[type[Layer], Callable[[Writer, Step, list[str], list[str]], str]] = {
    **nodes.EMITTERS,
    **conv_nodes.EMITTERS,
    **norm_nodes.EMITTERS,
    **pool_nodes.EMITTERS,
    **adaptive_nodes.EMITTERS,
    **glue_nodes.EMITTERS,
}
