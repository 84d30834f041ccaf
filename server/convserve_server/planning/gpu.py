"""How a GPU that need not be there would run a layer, by what its vendor's library offers.

The library is asked beforehand (`wanted`); its answers are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen
from convserve.networks import Network
from convserve.plans import Kernel
from convserve.tensors import SYMBOLIC_BATCH, TensorSpec
from msgspec.structs import replace

from convserve_server.planning.graph import steps_of, walk
from convserve_server.planning.inputs import name_inputs, read_inputs
from convserve_server.planning.kernels import (
    FORWARD,
    INPUT_GRADIENT,
    MAX_IMAGE_ELEMENTS,
    WEIGHT_GRADIENT,
    Convolution,
    Offer,
    Policy,
    choose,
    explain_choice,
)
from convserve_server.planning.plain import PlainConv, plain_convs
from convserve_server.planning.program import Advice, Advisor, OperationStep, Step
from convserve_server.planning.quantization import explain_quantization, gemm_of, quantize

ENGINE = "cuda"
NOT_ASKED = "cuDNN was not asked: plan with kernels=True"
OTHER_SHAPES = "cuDNN was asked for other shapes"
DIRECTIONS = (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT)

# What the library said to each convolution: an offer, or why there is none.
Answers: TypeAlias = Mapping[Convolution, Offer | str]


def wanted(steps: Iterable[Step], *, training: bool) -> tuple[Convolution, ...]:
    """The different convolutions that the library must be asked about, gradients for training."""
    directions = DIRECTIONS if training else DIRECTIONS[:1]
    asked = (
        _as_asked(conv, direction)
        for step in steps
        for conv in plain_convs(step)
        if not conv.is_empty
        for direction in directions
    )
    return tuple(dict.fromkeys(asked))


def wanted_of(
    network: Network, inputs: Sequence[TensorSpec], *, layout: str, training: bool
) -> tuple[Convolution, ...]:
    """What is `wanted` for a network on such inputs, one sample of them if the batch is unknown.

    Raises what `plan_network` raises.
    """
    given = read_inputs(name_inputs(network, inputs), layout, "inputs")
    count = 1 if given.batch == SYMBOLIC_BATCH else given.batch
    nodes = walk(network, given.samples, count)
    return wanted(steps_of(nodes, count), training=training)


@frozen
class GpuAdvisor(Advisor):
    """An `Advisor` for one kind of GPU.

    Without `answers` (None) nothing is known of algorithms and workspaces. With `training` the
    kernels of both gradients are told too. `caveat` is said of every convolution.
    """

    device: str
    multiprocessor_count: int
    policy: Policy
    answers: Answers | None = None
    training: bool = False
    caveat: str = ""

    def advise(self, step: Step | OperationStep) -> Advice:
        """How the GPU would run the step."""
        if isinstance(step, OperationStep):
            return Advice(ENGINE, "", 0, "operations are not planned for GPUs")
        convs = [conv for conv in plain_convs(step) if not conv.is_empty]
        advice = self._advise_convs(convs) if convs else Advice(ENGINE, "", 0, "no convolution")
        gemm = gemm_of(step)
        if gemm is None or not self.multiprocessor_count:
            return advice
        quantization = quantize(gemm, self.multiprocessor_count)
        remark = explain_quantization(gemm, quantization)
        return replace(advice, quantization=quantization, remarks=(remark,))

    def _advise_convs(self, convs: Sequence[PlainConv]) -> Advice:
        reasons = tuple(dict.fromkeys(self._refusals(convs)))
        if reasons:
            caveat = f"the algorithms of some convolutions are not known: {reasons[0]}"
            return Advice(ENGINE, "", _copied(convs), "; ".join(reasons), caveat)
        forward = [self._choices(conv, FORWARD) for conv in convs]
        backward = [
            self._choices(conv, direction)
            for direction in DIRECTIONS[1:]
            for conv in convs
            if self.training
        ]
        lists = [*forward, *backward]
        missing = [choices for choices in lists if choices.chosen is None]
        return Advice(
            ENGINE,
            ", ".join(choices.algorithm for choices in forward),
            _copied(convs) + max(choices.workspace_bytes for choices in forward),
            "; ".join(filter(None, (*map(_reason, lists), *map(_limit_remark, convs)))),
            f"{missing[0].library} has no kernel that may be used" if missing else self.caveat,
            kernels=tuple(kernel for choices in lists for kernel in choices.kernels),
            gradient_workspace_bytes=max((c.workspace_bytes for c in backward), default=0),
        )

    def _refusals(self, convs: Sequence[PlainConv]) -> Iterator[str]:
        """Why there is no offer for some direction of some of these."""
        for conv in convs:
            for direction in DIRECTIONS if self.training else DIRECTIONS[:1]:
                answer = self._answer(conv, direction)
                if isinstance(answer, str):
                    yield answer

    def _answer(self, conv: PlainConv, direction: str) -> Offer | str:
        if self.answers is None:
            return NOT_ASKED
        asked = _as_asked(conv, direction)
        return self.answers.get(asked, OTHER_SHAPES)

    def _choices(self, conv: PlainConv, direction: str) -> _Choices:
        offer = self._answer(conv, direction)
        assert isinstance(offer, Offer)  # the others were told as reasons
        kernels = choose(offer, conv.read.dtype, direction, self.policy)
        return _Choices(offer.library, self.device, direction, kernels)


@frozen
class _Choices:
    """What a library offers for one direction of a convolution, judged."""

    library: str
    device: str
    direction: str
    kernels: tuple[Kernel, ...]

    @property
    def chosen(self) -> Kernel | None:
        return next((kernel for kernel in self.kernels if kernel.chosen), None)

    @property
    def workspace_bytes(self) -> int:
        return self.chosen.workspace_bytes if self.chosen else 0

    @property
    def algorithm(self) -> str:
        """`cudnn eng67`: the engine without its knobs."""
        return f"cudnn {self.chosen.name.partition('_')[0]}" if self.chosen else ""


def _reason(choices: _Choices) -> str:
    """Why it is this kernel, or none."""
    kernels = choices.kernels
    why = explain_choice(kernels, len(kernels), choices.library, choices.device)
    return f"{choices.direction}: {why}"


def _limit_remark(conv: PlainConv) -> str:
    """What happens to images that are too large for 32-bit indices."""
    elements = _as_asked(conv, FORWARD).image_elements
    if elements < MAX_IMAGE_ELEMENTS:
        return ""
    return (
        f"one image has {elements} elements, and from {MAX_IMAGE_ELEMENTS} on cuDNN has only its "
        "universal engine, which is slow: cut the image into tiles"
    )


def _as_asked(conv: PlainConv, direction: str) -> Convolution:
    """What the library is asked for; a transposed convolution is the gradient of a plain one."""
    if conv.transposed and direction != WEIGHT_GRADIENT:
        direction = INPUT_GRADIENT if direction == FORWARD else FORWARD
    return Convolution(
        direction,
        conv.read.dtype,
        conv.input.shape,
        conv.weight.shape,
        conv.output.shape,
        conv.stride,
        conv.padding,
        conv.dilation,
    )


def _copied(convs: Sequence[PlainConv]) -> int:
    return max(conv.copied_bytes for conv in convs)
