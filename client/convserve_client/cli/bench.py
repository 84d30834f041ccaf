"""`convserve bench`: how fast a server answers, where the time goes, and how much it takes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
from attrs import field, frozen
from convserve.runs import CallRecord
from convserve.tables import Column, byte_text
from convserve.tensors import Array

from convserve_client._client import Client

STAGES = ("decode", "queue", "transfer", "compute", "encode")
REST = "network and client"
PERCENTILES = (50, 90, 99, 100)
HEADINGS = ("p50", "p90", "p99", "max")


@frozen
class Work:
    """The call that is repeated: a convolution of random float32 values, padding "same"."""

    x: Array
    weight: Array

    def __str__(self) -> str:
        kernel = "×".join(map(str, self.weight.shape[2:]))
        shape = "×".join(map(str, self.x.shape))
        sent = byte_text(self.x.nbytes + self.weight.nbytes)
        return f"{shape} float32, {self.weight.shape[0]} filters of {kernel}: {sent} a call"


@frozen
class Call:
    """One call as the caller saw it, and the server's record of it."""

    seconds: float
    record: CallRecord

    def stages(self) -> dict[str, float]:
        """Seconds by stage; the rest is what the server's own stages leave."""
        known = {name: getattr(self.record, f"{name}_seconds") for name in STAGES}
        return known | {REST: max(0.0, self.seconds - sum(known.values()))}


@frozen
class Run:
    """Calls by so many threads at once, and how long all of them took. May be empty."""

    threads: int
    calls: tuple[Call, ...] = ()
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Calls each second."""
        return len(self.calls) / self.seconds if self.seconds else 0.0

    def latencies(self) -> tuple[float, ...]:
        """Seconds at the percentiles 50, 90, 99 and 100."""
        return percentiles([call.seconds for call in self.calls])


@frozen
class Report:
    """What was measured: calls one at a time, then many at once."""

    work: Work
    alone: Run
    together: Run
    is_complete: bool = field(default=True)


def measure(client: Client, work: Work, count: int, concurrency: int) -> Report:
    """`count` calls one at a time, then as many by `concurrency` threads of one client.

    Ctrl-C ends it early: the report then has the calls that had been answered.
    """
    client.conv(work.x, work.weight, padding="same")  # connects; the first of a shape is slower
    stop = threading.Event()
    alone, together = [Runner(client, work, stop) for _ in range(2)]
    try:
        alone.run(count, 1)
        together.run(count, concurrency)
    except KeyboardInterrupt:
        return Report(work, alone.result(), together.result(), is_complete=False)
    return Report(work, alone.result(), together.result())


class Runner:
    """Makes calls and keeps them, so that none is lost when it is interrupted."""

    def __init__(self, client: Client, work: Work, stop: threading.Event) -> None:
        self._client = client
        self._work = work
        self._stop = stop
        self._calls: list[Call] = []
        self._threads = 0
        self._seconds = 0.0

    def run(self, count: int, threads: int) -> None:
        """Make `count` calls by so many threads. Raises the first error of any."""
        self._threads = threads
        start = perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            try:
                parts = [pool.submit(self._repeat, share) for share in _shares(count, threads)]
                for part in parts:
                    part.result()
            finally:
                self._stop.set()  # an error or Ctrl-C: the others end after their present call
                self._seconds = perf_counter() - start
        self._stop.clear()

    def result(self) -> Run:
        """What was answered so far."""
        return Run(self._threads, tuple(self._calls), self._seconds)

    def _repeat(self, count: int) -> None:
        for _ in range(count):
            if self._stop.is_set():
                return
            with self._client.trace() as records:
                start = perf_counter()
                self._client.conv(self._work.x, self._work.weight, padding="same")
                seconds = perf_counter() - start
            self._calls.append(Call(seconds, records[-1]))


def make_work(shape: Sequence[int], filters: int, kernel_size: Sequence[int]) -> Work:
    """Random values of `shape`, which is (N, C, *spatial), and as many filters."""
    generator = np.random.default_rng(0)
    x = generator.random(tuple(shape), np.float32)
    return Work(x, generator.random((filters, shape[1], *kernel_size), np.float32))


def percentiles(seconds: Sequence[float]) -> tuple[float, ...]:
    """The percentiles 50, 90, 99 and 100, each a value that occurred; nothing for nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return ()
    last = len(ordered) - 1
    return tuple(ordered[min(last, len(ordered) * each // 100)] for each in PERCENTILES)


def report_text(report: Report) -> str:
    """The report as tables."""
    blocks = [str(report.work)]
    for run in (report.alone, report.together):
        if run.calls:
            blocks += [_run_text(run), _stage_table(run)]
    if not report.is_complete:
        blocks.append("Interrupted: these are the calls until then.")
    return "\n\n".join(blocks)


def report_document(report: Report) -> dict[str, Any]:
    """The report as plain data; times in seconds."""
    return {
        "shape": list(report.work.x.shape),
        "weight_shape": list(report.work.weight.shape),
        "complete": report.is_complete,
        "one_at_a_time": _run_document(report.alone),
        "concurrent": _run_document(report.together),
    }


def _run_text(run: Run) -> str:
    who = "One at a time" if run.threads == 1 else f"{run.threads} at a time"
    lines = [
        f"{who}: {run.rate:,.0f} calls/s ({len(run.calls):,} calls in {run.seconds:.2f} s)",
        ", ".join(
            f"{heading} {_time(value)}"
            for heading, value in zip(HEADINGS, run.latencies(), strict=True)
        ),
    ]
    sizes = batch_shares(run)
    if set(sizes) != {1}:
        shares = (f"{size} ({share:.0%})" for size, share in sizes.items())
        lines.append(f"calls computed in batches of {', '.join(shares)}")
    return "\n".join(lines)


def batch_shares(run: Run) -> dict[int, float]:
    """What share of the calls was computed in batches of each size, the smallest first."""
    counts = Counter(call.record.batch_size for call in run.calls)
    return {size: counts[size] / len(run.calls) for size in sorted(counts)}


def stage_times(run: Run) -> dict[str, list[float]]:
    """Seconds of every call by stage."""
    every = [call.stages() for call in run.calls]
    return {name: [stages[name] for stages in every] for name in (*STAGES, REST)}


def _stage_table(run: Run) -> str:
    times = stage_times(run)
    whole = sum(call.seconds for call in run.calls)
    shares = tuple(f"{sum(each) / whole:.0%}" if whole else "" for each in times.values())
    rows = [percentiles(each) for each in times.values()]
    columns = [
        Column("Stage", tuple(times)),
        *(
            Column(heading, tuple(_time(row[index]) for row in rows), is_number=True)
            for index, heading in enumerate(HEADINGS)
        ),
        Column("Share", shares, is_number=True),
    ]
    lines = zip(*(column.lines() for column in columns), strict=True)
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def _run_document(run: Run) -> dict[str, Any]:
    def named(seconds: Sequence[float]) -> dict[str, float]:
        return dict(zip(HEADINGS, percentiles(seconds), strict=False))

    return {
        "threads": run.threads,
        "calls": len(run.calls),
        "seconds": run.seconds,
        "calls_per_second": run.rate,
        "latency": named([call.seconds for call in run.calls]),
        "stages": {name: named(times) for name, times in stage_times(run).items()},
        "batch_shares": {str(size): share for size, share in batch_shares(run).items()},
    }


def _time(seconds: float) -> str:
    """Milliseconds, with three digits: `0.612 ms`, `41.3 ms`."""
    value = seconds * 1e3
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} ms"


def _shares(count: int, threads: int) -> list[int]:
    return [count // threads + (number < count % threads) for number in range(threads)]
