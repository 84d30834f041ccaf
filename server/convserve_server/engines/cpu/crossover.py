"""From how many kernel elements on an FFT beats the direct sum: data, measured, not reasoned.

`crossover.json` is written by `python -m tests.benchmarks.crossover`.
"""

from __future__ import annotations

import json
import math
from importlib import resources

from attrs import frozen
from convserve.layers.fields import Ints

OVERLAP = 4  # blocks pay where one signal is so many times as long as the other


@frozen
class Crossover:
    """For one element type and rank: an FFT pays from `taps` kernel elements and `macs` on."""

    taps: int
    macs: int


def _load() -> dict[tuple[str, bool], Crossover]:
    text = resources.files("convserve_server.engines.cpu").joinpath("crossover.json").read_text()
    return {
        (entry["dtype"], entry["rank"] == 1): Crossover(entry["taps"], entry["macs"])
        for entry in json.loads(text)["entries"]
    }


_TABLE = _load()


def fft_algorithm(long: Ints, short: Ints) -> str:
    """`overlap_save` in one dimension where one signal is much longer, else `fft`."""
    return "overlap_save" if len(long) == 1 and long[0] >= OVERLAP * short[0] else "fft"


def fft_pays(dtype: str, long: Ints, short: Ints) -> bool:
    """Whether an FFT beats the direct sum of `short` elements at every position of `long`."""
    entry = _TABLE.get((dtype, len(long) == 1))
    taps = math.prod(short)
    return entry is not None and taps >= entry.taps and taps * math.prod(long) >= entry.macs
