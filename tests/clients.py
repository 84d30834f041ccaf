"""Both clients behind one face, so that a test is written once and runs on each."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Self

import convserve_client as cs
import grpc
from convserve.services import METHODS

KINDS = ("blocking", "awaiting")


class Awaited:
    """An AsyncClient or AsyncModel whose methods block: each runs the loop until it is done."""

    def __init__(self, runner: asyncio.Runner, subject: Any) -> None:
        self._runner = runner
        self._subject = subject

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._subject, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._run(attribute(*args, **kwargs))

        return call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._subject(*args, **kwargs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._subject.close())

    def _run(self, awaitable: Any) -> Any:
        # A task copies the context; traces are seen because the list in it is the same.
        result = self._runner.run(awaitable, context=copy_context())
        return Awaited(self._runner, result) if isinstance(result, cs.AsyncModel) else result


@contextmanager
def connected(kind: str, address: str, **options: Any) -> Iterator[Any]:
    """A client of a kind, with blocking methods."""
    if kind == "blocking":
        with cs.connect(address, **options) as client:
            yield client
        return
    with (
        asyncio.Runner() as runner,
        Awaited(runner, runner.run(cs.connect_async(address, **options))) as client,
    ):
        yield client


def unload_model(address: str, model_id: str) -> None:
    """Unload a model behind its owner's back, as another client could."""
    method = METHODS["UnloadModel"]
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method.path, method.request.SerializeToString)
        call(method.request(model_id=model_id), timeout=10)
