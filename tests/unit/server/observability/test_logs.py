import json
import logging

import pytest
from convserve_server.observability.logs import (
    JsonFormatter,
    TextFormatter,
    configure_logs,
    fields,
)
from grpc._cython import cygrpc

NASTY = 'x\n{"event": "forged"} \x1b[2J " = \u2028'


def record(message="call", exc_info=None, **values):
    made = logging.LogRecord("name", logging.WARNING, "path", 1, message, (), exc_info)
    made.__dict__.update(fields(**values))
    return made


@pytest.fixture
def exc_info():
    try:
        raise ValueError(NASTY)
    except ValueError as error:
        return (type(error), error, error.__traceback__)


def test_json_is_one_line_with_every_field():
    line = JsonFormatter().format(record(code="OK", name=NASTY, seconds=0.5))
    assert len(line.splitlines()) == 1
    event = json.loads(line)
    assert event["event"] == "call"
    assert event["level"] == "warning"
    assert event["time"].endswith("+00:00")
    assert (event["code"], event["name"], event["seconds"]) == ("OK", NASTY, 0.5)


def test_json_holds_the_traceback_in_its_line(exc_info):
    line = JsonFormatter().format(record("fault", exc_info))
    assert len(line.splitlines()) == 1
    assert NASTY in json.loads(line)["traceback"]


def test_text_is_one_line_and_escapes_values():
    line = TextFormatter().format(record(NASTY, code="OK", name=NASTY))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert ' code="OK" name="x\\n{' in line


def test_text_marks_the_lines_of_a_traceback(exc_info):
    _, *rest = TextFormatter().format(record("fault", exc_info)).splitlines()
    assert rest
    assert all(line.startswith("  | ") or not line.strip() for line in rest)


def test_what_is_not_json_is_shown_as_text():
    assert json.loads(JsonFormatter().format(record(value=ValueError("bad"))))["value"] == "bad"


@pytest.fixture
def root_logger():
    """The root logger, which gets its handlers back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_answer_whose_caller_left_is_no_event_and_a_fault_is(root_logger, capsys, exc_info):
    configure_logs("info", "json")
    left = cygrpc.ExecuteBatchError("the call is over")
    root_logger.error("raised in core", exc_info=(type(left), left, None))
    root_logger.error("a fault", exc_info=exc_info)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "a fault"
