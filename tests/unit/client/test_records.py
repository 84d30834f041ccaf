import numpy as np
import pytest
from attrs import evolve
from convserve.codec import to_message
from convserve.errors import InternalError
from convserve.runs import CallRecord
from convserve.v1 import compute_service_pb2 as compute_pb2
from convserve_client import _operations
from convserve_client._records import call_record

from tests.fakes.answers import RECORD, inline, stream
from tests.fakes.driver import ScriptedDriver

SUMMARY = to_message(RECORD, compute_pb2.CallRecord()).SerializeToString()


def test_without_timings_the_summary_is_the_record():
    assert call_record(SUMMARY, ()) == RECORD
    assert call_record(SUMMARY, [("grpc-message", "x")]) == RECORD


def test_timings_are_milliseconds_and_count_before_the_summary():
    timings = "decode;dur=0.5, queue;dur=1e-3, transfer;dur=12, compute;dur=700.25, encode;dur=0"
    assert call_record(SUMMARY, [("server-timing", timings)]) == evolve(
        RECORD,
        decode_seconds=0.0005,
        queue_seconds=1e-6,
        transfer_seconds=0.012,
        compute_seconds=0.70025,
        encode_seconds=0.0,
    )


@pytest.mark.parametrize("text", ["", "decode", "decode;dur=", "tea;dur=3", "decode;dur=x", ";;,,"])
def test_timings_that_say_nothing_are_left_out(text):
    assert call_record(SUMMARY, [("server-timing", text)]) == RECORD


def test_an_empty_summary_is_a_record():
    assert call_record(b"", ()) == CallRecord(batch_size=0, tile_count=0)


def test_a_summary_that_cannot_be_read_is_an_error():
    with pytest.raises(InternalError, match="summary"):
        call_record(b"\xff", ())


@pytest.mark.parametrize(("size", "answer"), [(2, inline), (600, stream)], ids=["Inline", "Stream"])
def test_only_traced_calls_want_the_trailing_metadata(size, answer):
    x = np.ones((1, 1, size, size), np.float32)
    driver = ScriptedDriver([answer(y=x), answer(y=x)])
    session = driver.session()
    driver.drive(_operations.pool(session, x))
    with session.trace() as records:
        driver.drive(_operations.pool(session, x))
    assert driver.traced == [False, True]
    assert records == [evolve(RECORD, encode_seconds=0.25)]
