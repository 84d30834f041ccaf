"""Structured logs: one event a line, as JSON or as text, on standard error.

A call of `logger.info("call", extra=fields(code="OK"))` is one event with its fields. Values that
callers chose are always escaped: no value can end a line or look like another field.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from textwrap import indent
from typing import Any

import msgspec

_FIELDS = "convserve_fields"
_GONE_CALLER = ("grpc._cython.cygrpc", "ExecuteBatchError")
_encoder = msgspec.json.Encoder(enc_hook=str)


def fields(**values: object) -> dict[str, object]:
    """The `extra` of a log call that gives the event these fields."""
    return {_FIELDS: values}


def configure_logs(level: str, log_format: str) -> None:
    """Send every log of the process to standard error; `log_format` is `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_WithoutGoneCallers())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _WithoutGoneCallers(logging.Filter):
    """Leaves out what gRPC logs, with a traceback, of an answer whose caller left meanwhile.

    That is no fault, and the call has a line of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or (kind.__module__, kind.__name__) != _GONE_CALLER


def _event(record: logging.LogRecord) -> dict[str, Any]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    event = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
    event |= getattr(record, _FIELDS, {})
    if record.exc_info:
        event["traceback"] = logging.Formatter().formatException(record.exc_info)
    return event


class JsonFormatter(logging.Formatter):
    """An event as one object of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event = _event(record)
        line = _encoder.encode(event)
        # Some characters beyond ASCII end a line for some readers: json escapes them all.
        return line.decode() if line.isascii() else json.dumps(event, default=str)


class TextFormatter(logging.Formatter):
    """An event as `time level event name=value ...`, each value as JSON writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows on marked lines."""
        event = _event(record)
        time, level, name = (event.pop(key) for key in ("time", "level", "event"))
        traceback = event.pop("traceback", None)
        name = json.dumps(name)[1:-1]
        values = "".join(f" {key}={json.dumps(value, default=str)}" for key, value in event.items())
        line = f"{time} {level:7} {name}{values}"
        return f"{line}\n{indent(traceback, '  | ')}" if traceback else line
