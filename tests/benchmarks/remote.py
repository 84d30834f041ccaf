"""Work in a process of its own, asked for one round at a time: `remote(function, *arguments)`.

The function is a context manager whose value is called once for each round. Arguments and answers
are JSON, one line each way, so that a peer in another virtual environment can be asked alike.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Remote:
    """A process that answers lines of JSON; it ends when its standard input does."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def __call__(self, *arguments: Any) -> Any:
        """One round's answer. Raises RuntimeError if the process has ended."""
        self.start(*arguments)
        return self.finish()

    def start(self, *arguments: Any) -> None:
        """Ask, and do not wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")

    def finish(self) -> Any:
        """The answer to what was started."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with code {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its standard input, and waits


def remote(
    function: Callable[..., AbstractContextManager[Callable[..., Any]]], *arguments: Any
) -> Remote:
    """Enter `function(*arguments)` in a new process; each call of the result is a round there."""
    name = [function.__module__, function.__name__]
    return Remote([sys.executable, "-m", __name__, *name, json.dumps(arguments)])


def interleave(rounds: int, works: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Do each work once in every round, there and back again; the first round is not counted."""
    results: dict[str, list[T]] = {name: [] for name in works}
    names = list(works)
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            result = works[name]()
            if number:
                results[name].append(result)
    return results


def _answer(module: str, function: str, arguments: str) -> None:
    make = getattr(importlib.import_module(module), function)
    with make(*json.loads(arguments)) as work:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(work(*json.loads(line))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _answer(*sys.argv[1:])
