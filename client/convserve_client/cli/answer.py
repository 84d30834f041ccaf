"""What a command gives."""

from __future__ import annotations

from typing import Any

from attrs import frozen


@frozen
class Answer:
    """A command's result: for people, and as plain data for `--json`."""

    text: str
    document: Any
