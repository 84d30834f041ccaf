"""Whether a plan fits a device, and the largest batch that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from attrs import evolve, frozen
from convserve.plans import Fit, MemoryMoment
from convserve.tables import byte_text
from convserve.tensors import MAX_DIMENSION

from convserve_server.planning.memory import Moment, find_peak

MomentsAt: TypeAlias = Callable[[int], Sequence[Moment]]


@frozen
class Offer:
    """A device's name, and the bytes of its memory that tensors may take."""

    device: str
    memory_bytes: int


def check_fit(peak: Moment, batch: int, offer: Offer) -> Fit:
    """Whether the peak of a batch fits."""
    needed = peak.byte_count(batch)
    fits = needed <= offer.memory_bytes
    return Fit(
        device=offer.device,
        memory_bytes=offer.memory_bytes,
        needed_bytes=needed,
        fits=fits,
        peak_layer=peak.layer,
        reason="" if fits else _reason(peak, batch, offer),
    )


def find_max_batch(fit: Fit, moments_at: MomentsAt, offer: Offer) -> Fit:
    """The fit with the largest batch for which `moments_at(batch)` fits, found by bisection.

    The search assumes that memory grows with the batch. 0: not even one sample fits. What does not
    grow is bounded by the largest size of an axis.
    """

    @lru_cache
    def peak_at(batch: int) -> Moment:
        return find_peak(moments_at(batch), batch)

    def fits(batch: int) -> bool:
        return peak_at(batch).byte_count(batch) <= offer.memory_bytes

    largest = _bisect(fits, _guess(peak_at, offer))
    if largest == MAX_DIMENSION:
        reason = f"batch {largest} is the largest that can be; it fits {offer.device}"
        return evolve(fit, max_batch=largest, peak_layer=peak_at(largest).layer, reason=reason)
    reason = _reason(peak_at(largest + 1), largest + 1, offer)
    peak = peak_at(max(largest, 1))
    return evolve(fit, max_batch=largest, peak_layer=peak.layer, reason=reason)


def _guess(peak_at: Callable[[int], Moment], offer: Offer) -> int:
    """The batch that would fit if the peak stayed where it is."""
    batch = 1
    for _ in range(2):  # from one sample, and again from there
        peak = peak_at(batch)
        room = offer.memory_bytes - peak.fixed_bytes
        batch = max(1, min(room // max(1, peak.per_sample_bytes), MAX_DIMENSION))
    return batch


def _bisect(fits: Callable[[int], bool], guess: int) -> int:
    """The largest number from 0 to MAX_DIMENSION that fits, looked for around a guess."""
    low, high, step = 0, MAX_DIMENSION + 1, 1
    while low < guess < high:
        if fits(guess):
            low, guess = guess, min(guess + step, MAX_DIMENSION)
        else:
            high, guess = guess, max(guess - step, 1)
        step *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _reason(peak: Moment, batch: int, offer: Offer) -> str:
    moment, needed, limit = peak.at(batch), peak.byte_count(batch), offer.memory_bytes
    during = "" if moment.phase == "forward" else f" ({moment.phase})"
    return (
        f"batch {batch} needs {byte_text(needed)} at {moment.layer}{during}, "
        f"{byte_text(needed - limit)} more than the {byte_text(limit)} of {offer.device}: "
        f"{_parts(moment)}"
    )


def _parts(moment: MemoryMoment) -> str:
    """The parts that there are, the largest first: `activations 21.0 GiB, weights 0.51 GiB`."""
    sizes = {
        "activations": moment.activation_bytes,
        "weights": moment.weight_bytes,
        "gradients": moment.gradient_bytes,
        "optimizer": moment.optimizer_bytes,
        "workspace": moment.workspace_bytes,
    }
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {byte_text(size)}" for name, size in ordered if size)
