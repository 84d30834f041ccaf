"""Networks of PyTorch: a module becomes layers and weights. torch itself is imported when needed.

`tracing` turns a module into a graph of calls, by torch.fx or torch.export; `conversion` walks it;
`calls` looks up in `modules` and `functions` what each call means in layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen
from convserve.errors import UnsupportedError
from convserve.tensors import Array

from convserve_client._foreign import ForeignNetwork
from convserve_client._shapes import ShapeLike

if TYPE_CHECKING:
    import torch


@frozen
class TorchNetwork(ForeignNetwork):
    """A network that was a torch module: `from_torch` makes it.

    It may stand wherever a network may; `run` and `load` then take its own weights, and `plan` its
    own input shapes, where none are given.

    `weights` are arrays by name. Those of a module on the CPU share its memory, so that they change
    if it is trained on; a module on the meta device has none. `notes` say what differs from the
    module, such as constants that became weights.
    """

    weights: Mapping[str, Array] = field(factory=dict, kw_only=True, eq=False, repr=False)


def from_torch(
    module: torch.nn.Module, example_shape: ShapeLike | Mapping[str, ShapeLike]
) -> TorchNetwork:
    """The network that a torch module is in eval mode, with its weights. Nothing is computed.

    `example_shape` is (N, C, *L), or a dict of shapes by the names of forward's arguments; "N" or
    None on the first axis is any batch. Layers are called as their modules are, so that weights
    have the names of `module.state_dict()`; what is no module of its own has the name of the one
    around it and the function's, such as `layer1.0.add`. Shapes that the module computes, such as
    those of `interpolate`, are fixed to those of the example.

    The module is traced by torch.fx, or by torch.export where its Python needs values or shapes
    that fx does not have; it is left as it was, but no other thread may use it meanwhile.

    Raises UnsupportedError, with the layer's name, for what convserve has no layer for, and
    ShapeError for a shape that the module does not take.
    """
    try:
        import torch
    except ImportError:
        raise UnsupportedError(
            "from_torch needs PyTorch: pip install 'convserve-client[torch]'"
        ) from None
    from convserve_client._torch.conversion import convert
    from convserve_client._torch.tracing import trace

    if not isinstance(module, torch.nn.Module):
        raise UnsupportedError(f"{type(module).__name__} is not a torch.nn.Module", field="module")
    return convert(trace(module, example_shape))
