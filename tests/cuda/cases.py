"""The convolutions that the engine of GPUs gives to cuDNN, in every combination."""

from itertools import product

from attrs import frozen
from convserve_server.engines.cuda.graphs import ACTIVATIONS, ConvGraph
from convserve_server.planning.gpu import DIRECTIONS
from convserve_server.planning.kernels import Convolution

LIMIT = 1 << 30  # bytes of workspace
BATCH, CHANNELS = 32, 64
SIZES = {1: (2048,), 2: (56, 40), 3: (16, 28, 20)}
DTYPES = ("float32", "float16", "bfloat16", "float64")
GROUPS = {"": 1, "groups": 4, "depthwise": CHANNELS}


@frozen
class Window:
    """How a window of three elements moves along every axis."""

    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (1, 1)

    def output(self, size):
        """The positions along an axis of `size` elements."""
        return (size + sum(self.padding) - 2 * self.dilation - 1) // self.stride + 1


WINDOWS = {
    "": Window(),
    "stride": Window(stride=2),
    "dilation": Window(dilation=2, padding=(2, 2)),
    "asymmetric": Window(padding=(2, 0)),
    "strided dilation": Window(stride=2, dilation=2, padding=(2, 2)),
}


def convolution(rank, dtype, groups="", window="", direction="forward"):
    """One of the table."""
    moves, sizes = WINDOWS[window], SIZES[rank]
    return Convolution(
        direction,
        dtype,
        (BATCH, CHANNELS, *sizes),
        (CHANNELS, CHANNELS // GROUPS[groups], *[3] * rank),
        (BATCH, CHANNELS, *map(moves.output, sizes)),
        (moves.stride,) * rank,
        (moves.padding,) * rank,
        (moves.dilation,) * rank,
    )


def _named(*words):
    return " ".join(filter(None, words))


def plain_graphs():
    """Every convolution alone, by its name: `2-D float16 depthwise stride forward`."""
    combinations = product(SIZES, DTYPES, GROUPS, WINDOWS, DIRECTIONS)
    return {
        _named(f"{rank}-D", dtype, *words): ConvGraph(convolution(rank, dtype, *words))
        for rank, dtype, *words in combinations
    }


def stored_fusions():
    """What cuDNN has kernels for in store, to do it at once: a bias, a residual, a ReLU."""
    epilogues = {
        "bias": {"bias": True},
        "bias relu": {"bias": True, "activation": "relu"},
        "residual bias": {"bias": True, "residual": True},
        "residual bias relu": {"bias": True, "residual": True, "activation": "relu"},
    }
    combinations = product(SIZES, DTYPES, GROUPS, WINDOWS, epilogues)
    return {
        _named(f"{rank}-D", dtype, *words, name): ConvGraph(
            convolution(rank, dtype, *words), **epilogues[name]
        )
        for rank, dtype, *words, name in combinations
    }


def compiled_fusions():
    """What cuDNN compiles a kernel for, a second's work each: every choice beside a plain one."""
    graphs = {}

    def add(rank=2, dtype="float16", groups="", direction="forward", **epilogue):
        words = ["residual"] * ("residual" in epilogue) + ["bias", epilogue["activation"]]
        name = _named(f"{rank}-D", dtype, groups, direction, *words)
        conv = convolution(rank, dtype, groups, "", direction)
        graphs[name] = ConvGraph(conv, bias=True, alpha=1.0, **epilogue)

    for activation in sorted(set(ACTIVATIONS) - {"relu"}):
        add(activation=activation)
    for activation in ("relu6", "silu"):
        add(activation=activation, residual=True)
    for rank, dtype in product(SIZES, DTYPES):
        add(rank, dtype, activation="silu")
    for groups, dtype in product(["groups", "depthwise"], DTYPES):
        add(2, dtype, groups, activation="silu")
    for rank in SIZES:
        add(rank, direction="input_gradient", activation="relu")
    return graphs
