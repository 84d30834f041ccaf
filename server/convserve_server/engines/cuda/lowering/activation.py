"""The activations that may follow sums at once, in cuDNN's words and in those of our kernels."""

from __future__ import annotations

from attrs import frozen
from convserve import layers
from convserve.layers import Layer

from convserve_server.engines.cuda import graphs

# Their places here are their numbers in kernels/activation.cuh.
KINDS = (
    "",
    "relu",
    "relu6",
    "leaky_relu",
    "gelu",
    "silu",
    "sigmoid",
    "tanh",
    "elu",
    "softplus",
    "hard_sigmoid",
    "hard_swish",
    "mish",
)


@frozen
class Activation:
    """An elementwise function with up to two numbers; of no kind, it leaves all as it is."""

    kind: str = ""
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def code(self) -> int:
        """Its number in `activation.cuh`."""
        return KINDS.index(self.kind)

    @property
    def is_known_to_cudnn(self) -> bool:
        """Whether cuDNN has the same function; its ELU and softplus have no number but 1."""
        if self.kind in ("elu", "softplus"):
            return self.alpha == 1
        return self.kind in ("", *graphs.ACTIVATIONS)


NO_ACTIVATION = Activation()


def activation_of(layer: Layer) -> Activation | None:
    """What a layer computes of each element, if it is one of these."""
    match layer:
        case layers.ReLU():
            return Activation("relu")
        case layers.ReLU6():
            return Activation("relu6")
        case layers.LeakyReLU():
            return Activation("leaky_relu", layer.negative_slope)
        case layers.GELU():
            return Activation("gelu")
        case layers.SiLU():
            return Activation("silu")
        case layers.Sigmoid():
            return Activation("sigmoid")
        case layers.Tanh():
            return Activation("tanh")
        case layers.ELU():
            return Activation("elu", layer.alpha)
        case layers.Softplus():
            return Activation("softplus", layer.beta)
        case layers.HardSigmoid():
            return Activation("hard_sigmoid", layer.alpha, layer.beta)
        case layers.HardSwish():
            return Activation("hard_swish")
        case layers.Mish():
            return Activation("mish")
    return None
