"""What cuDNN is asked to compute in one go: a convolution, and what is done to its sums at once."""

from __future__ import annotations

from attrs import frozen

from convserve_server.planning.kernels import Convolution

INPUT, WEIGHT, OUTPUT, BIAS, RESIDUAL = "input", "weight", "output", "bias", "residual"
ROLES = (INPUT, WEIGHT, OUTPUT, BIAS, RESIDUAL)  # uids within cuDNN's graph count from 1
# What cuDNN computes on the sums, by its own names: the layer kinds of the same formula.
ACTIVATIONS = ("relu", "relu6", "leaky_relu", "gelu", "silu", "sigmoid", "tanh", "elu", "softplus")


@frozen
class ConvGraph:
    """A convolution, then `bias` per channel, then a `residual` of the result's shape, then the
    activation; `alpha` is the activation's one number, if it has one.

    All tensors have the convolution's dtype and lie with the channels last; the sums and what is
    done to them are in float32 (float64 for float64), and rounded once.
    """

    convolution: Convolution
    bias: bool = False
    residual: bool = False
    activation: str = ""
    alpha: float = 0.0

    @property
    def is_fused(self) -> bool:
        """Whether there is more than the convolution."""
        return self.bias or self.residual or bool(self.activation)


@frozen
class Prepared:
    """What was made of a graph (or of a kernel) for one kind of GPU, ready to be loaded there.

    Of a graph: cuDNN's plan in `blob`, called `name`, which needs `workspace_bytes`, at `rank` of
    what cuDNN offers; `reason` says why it is this one. With a `failure` there is no blob.
    """

    name: str = ""
    workspace_bytes: int = 0
    rank: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""
    blob: bytes = b""
    failure: str = ""
