"""What a vendor's library for GPUs is asked about a convolution, and which of its kernels is taken.

The library itself is asked elsewhere (`KernelPlanner`): planning only reads its answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from attrs import evolve, frozen
from convserve.errors import UnsupportedError
from convserve.layers.fields import Ints
from convserve.plans import Kernel
from convserve.tensors import Shape

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input_gradient", "weight_gradient"

# cuDNN's index arithmetic within one image is of 32 bits, but for its universal engine.
MAX_IMAGE_ELEMENTS = 1 << 31


@frozen
class Convolution:
    """A convolution as a library is asked about it, in every direction with the same shapes.

    `input` is (N, C, *L), `weight` (K, C / groups, *kernel_size), `output` (N, K, *L'); padding is
    (low, high) per spatial axis. All tensors have one dtype and lie with the channels last.
    """

    direction: str
    dtype: str
    input: Shape
    weight: Shape
    output: Shape
    stride: Ints
    padding: tuple[tuple[int, int], ...]
    dilation: Ints

    @property
    def image_elements(self) -> int:
        """Elements of one image of the input or the output, whichever has more."""
        return max(math.prod(self.input[1:]), math.prod(self.output[1:]))


@frozen
class Candidate:
    """One way in which the library offers to compute a convolution; `failure` if it cannot."""

    name: str
    workspace_bytes: int = 0
    notes: tuple[str, ...] = ()
    failure: str = ""

    @property
    def engine(self) -> str:
        """The library's engine, without the knobs that it is set to: `eng67`."""
        return self.name.partition("_")[0]


@frozen
class Offer:
    """What the library, such as `cuDNN 9.19.0`, offers for one convolution, best first."""

    library: str
    candidates: tuple[Candidate, ...]


class KernelPlanner(Protocol):
    """A vendor's library that plans for one kind of GPU, which need not be there."""

    def offer(self, convolution: Convolution) -> Offer:
        """What the library offers. Raises UnsupportedError where it takes no such convolution."""
        ...


@frozen
class Policy:
    """What a kernel may do.

    `precision` is the least that is allowed for float32; whatever it is, sums are made in float32
    at least. Results are the same each time, and the workspace is bounded.
    """

    precision: str
    workspace_limit_bytes: int

    def objection(self, candidate: Candidate, dtype: str) -> str:
        """Why the candidate may not be used, or nothing."""
        if candidate.failure:
            return f"the library cannot: {candidate.failure}"
        for note, reason in self._forbidden(dtype):
            if note in candidate.notes:
                return reason
        if candidate.workspace_bytes > self.workspace_limit_bytes:
            return (
                f"its workspace of {candidate.workspace_bytes} bytes is above the limit of "
                f"{self.workspace_limit_bytes}"
            )
        return ""

    def _forbidden(self, dtype: str) -> Iterator[tuple[str, str]]:
        """Notes, and why each is not wanted."""
        yield "NONDETERMINISTIC", "its sums may differ from run to run"
        yield "REDUCED_PRECISION_REDUCTION", "its sums are of less than float32"
        if self.precision in ("strict", "tf32"):
            yield "DOWN_CONVERT_INPUTS", f"{self.precision}: it rounds the operands to a half type"
        if self.precision == "strict":
            if dtype == "float32":
                yield "TENSOR_CORE", "strict: tensor cores round float32 to TF32"
            yield "WINOGRAD", "strict: Winograd's transforms lose digits"
            yield "FFT", "strict: an FFT spreads rounding errors, and values that are not finite"


def choose(offer: Offer, dtype: str, direction: str, policy: Policy) -> tuple[Kernel, ...]:
    """All that is offered, in the library's ranking: the first that `policy` allows is chosen.

    `direction` is that of the layer.
    """
    kernels: list[Kernel] = []
    chosen: Kernel | None = None
    for rank, candidate in enumerate(offer.candidates):
        kernel = Kernel(
            direction=direction,
            name=candidate.name,
            workspace_bytes=candidate.workspace_bytes,
            notes=candidate.notes,
            rank=rank,
            rejected_because=policy.objection(candidate, dtype),
        )
        if not kernel.rejected_because:
            if chosen is None:
                kernel = chosen = evolve(kernel, chosen=True)
            else:
                kernel = evolve(kernel, rejected_because=f"ranked below {chosen.name}")
        kernels.append(kernel)
    return tuple(kernels)


def explain_choice(kernels: Sequence[Kernel], offered: int, library: str, device: str) -> str:
    """Why it is the chosen one of these, or why it is none; `offered` is how many there are in all.

    `kernels` are judged, and begin with the first that is offered.
    """
    chosen = next((kernel for kernel in kernels if kernel.chosen), None)
    if chosen is None:
        return f"none of the {offered} kernels of {library} may be used"
    before = f"; before it rejected: {count_objections(kernels[: chosen.rank])}"
    return (
        f"{library} ranks {chosen.name} {chosen.rank + 1} of {offered} on {device}, with "
        f"{chosen.workspace_bytes} bytes of workspace{before if chosen.rank else ''}"
    )


def count_objections(kernels: Sequence[Kernel]) -> str:
    """Why these were rejected, each reason with its number."""
    counts = Counter(kernel.rejected_because for kernel in kernels)
    return ", ".join(f"{count} as {reason}" for reason, count in counts.items())


def check_dtype(dtype: str, taken: Sequence[str]) -> None:
    """Raise UnsupportedError for a dtype that the library is not asked about."""
    if dtype not in taken:
        raise UnsupportedError(
            f"convolutions of {dtype} are not asked of the library, only {', '.join(taken)}",
            field="dtype",
            metadata={"value": dtype},
        )
