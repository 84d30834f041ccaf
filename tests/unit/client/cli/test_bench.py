import threading
from contextlib import contextmanager

import numpy as np
import pytest
from convserve.errors import OverloadedError
from convserve.runs import CallRecord
from convserve_client.cli.bench import (
    REST,
    Call,
    Report,
    Run,
    make_work,
    measure,
    percentiles,
    report_document,
    report_text,
    stage_times,
)

WORK = make_work((1, 3, 8, 8), 2, (3, 3))
RECORD = CallRecord(compute_seconds=0.25, queue_seconds=0.5, batch_size=2)


class Recorded:
    """A client whose calls do nothing but leave a record; the call of a number raises `error`."""

    def __init__(self, error=None, at=0):
        self._error, self._at = error, at
        self._lock, self.count = threading.Lock(), 0
        self._records = threading.local()

    @contextmanager
    def trace(self):
        self._records.list = []
        yield self._records.list

    def conv(self, x, weight, *, padding):
        with self._lock:
            self.count += 1
            if self.count == self._at:
                raise self._error
        if hasattr(self._records, "list"):
            self._records.list.append(RECORD)
        return x


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (1, 8), (7, 3), (20, 4)])
def test_every_call_is_made_and_kept(count, threads) -> None:
    client = Recorded()
    report = measure(client, WORK, count, threads)
    assert client.count == 1 + 2 * count  # the first is not counted
    assert len(report.alone.calls) == len(report.together.calls) == count
    assert (report.alone.threads, report.together.threads) == (1, threads)
    assert report.is_complete


@pytest.mark.parametrize(("at", "alone", "together"), [(2, 0, 0), (5, 3, 0), (14, 10, 2)])
def test_ctrl_c_keeps_what_was_answered(at, alone, together) -> None:
    report = measure(Recorded(KeyboardInterrupt(), at), WORK, 10, 1)
    assert (len(report.alone.calls), len(report.together.calls)) == (alone, together)
    assert "Interrupted" in report_text(report)
    assert report_document(report)["complete"] is False


def test_an_error_ends_it() -> None:
    client = Recorded(OverloadedError("full"), 4)
    with pytest.raises(OverloadedError):
        measure(client, WORK, 1000, 2)
    assert client.count < 1000


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([]) == ()
    assert percentiles([3.0]) == (3.0, 3.0, 3.0, 3.0)
    assert percentiles([float(n) for n in range(200)]) == (100.0, 180.0, 198.0, 199.0)


def test_what_the_servers_stages_leave_is_network_and_client() -> None:
    run = Run(1, (Call(1.0, RECORD), Call(0.5, RECORD)), 1.5)
    assert stage_times(run)["compute"] == [0.25, 0.25]
    assert stage_times(run)[REST] == [0.25, 0.0]


def test_the_report_reads_well() -> None:
    run = Run(4, (Call(1.0, RECORD), Call(1.0, RECORD)), 0.5)
    text = report_text(Report(WORK, Run(1), run))
    assert "1×3×8×8 float32, 2 filters of 3×3" in text
    assert "4 at a time: 4 calls/s (2 calls in 0.50 s)" in text
    assert "batches of 2 (100%)" in text
    (line,) = [line for line in text.splitlines() if line.startswith("queue")]
    assert line.split() == ["queue", *("500", "ms") * 4, "50%"]
    assert "One at a time" not in text  # nothing was measured


def test_calls_that_took_no_time_divide_nothing() -> None:
    run = Run(1, (Call(0.0, CallRecord()),), 0.0)
    document = report_document(Report(WORK, run, Run(8)))
    assert document["one_at_a_time"]["calls_per_second"] == 0
    assert document["concurrent"]["latency"] == {}
    assert report_text(Report(WORK, run, Run(8)))


def test_the_work_is_as_asked() -> None:
    work = make_work((2, 3, 8, 9, 10), 4, (1, 2, 3))
    assert work.x.shape == (2, 3, 8, 9, 10)
    assert work.weight.shape == (4, 3, 1, 2, 3)
    assert work.x.dtype == work.weight.dtype == np.float32
