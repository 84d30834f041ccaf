"""A long signal and a long filter: 2**20 samples with 4,096 taps, beside SciPy in its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import convserve_client as cs
import scipy.signal

from tests.benchmarks import works
from tests.benchmarks.callers import Caller
from tests.benchmarks.options import Options
from tests.benchmarks.remote import interleave, remote
from tests.benchmarks.rounds import run_threads
from tests.benchmarks.rows import Row, Series, at_most


@contextmanager
def ours() -> Iterator[Caller]:
    """By a server of one's own."""
    a, v = works.signals()
    with cs.local() as client:

        def call() -> None:
            client.convolve(a, v)

        yield partial(run_threads, call)


@contextmanager
def scipys() -> Iterator[Caller]:
    """By scipy.signal.convolve, which chooses its method."""
    a, v = works.signals()

    def call() -> None:
        scipy.signal.convolve(a, v)

    yield partial(run_threads, call)


def measure(options: Options) -> list[Row]:
    """Milliseconds of a call."""
    with remote(ours) as local, remote(scipys) as scipy_:
        rounds = interleave(
            options.pick(41, 5),
            {"convserve": partial(local, 1, 1), "scipy.signal.convolve": partial(scipy_, 1, 1)},
        )
    mine, beside = (
        Series(name, "ms", [each["times"][0] * 1e3 for each in all_])
        for name, all_ in rounds.items()
    )
    return [Row("convolve through shared memory", mine, beside, at_most(1 / 2.5))]
