"""The one list of what each kind of layer is in ONNX."""

from __future__ import annotations

from convserve.layers import Layer

from convserve_server.engines.cpu import (
    adaptive_nodes,
    conv_nodes,
    glue_nodes,
    nodes,
    norm_nodes,
    pool_nodes,
)
from convserve_server.engines.cpu.nodes import Emit

EMITTERS: dict[type[Layer], Emit] = {
    **nodes.EMITTERS,
    **conv_nodes.EMITTERS,
    **norm_nodes.EMITTERS,
    **pool_nodes.EMITTERS,
    **adaptive_nodes.EMITTERS,
    **glue_nodes.EMITTERS,
}
