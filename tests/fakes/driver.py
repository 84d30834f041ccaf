"""A driver of the client's flows that sends nothing: it answers each command from a script."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from convserve.errors import ConvserveError
from convserve.services import parser, serialize
from convserve_client._flows import Borrow, Command, Exclusive, Flow, Pause, Send
from convserve_client._memory import SharedMemory
from convserve_client._retries import Policy
from convserve_client._session import Session
from google.protobuf.message import Message


class Clock:
    """A clock that stands still until it is told how much time passes."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeLock:
    """Counts how often it is held."""

    def __init__(self) -> None:
        self.held = 0


class ScriptedDriver:
    """Answers the n-th exchange with the n-th of `answers`.

    An answer is an error to raise, or a function from the requests to the responses. A pause moves
    the clock. Memory is lent by `lend`, which may raise. `sent`, `pauses`, `traced` and `borrowed`
    (sizes) tell what was asked for.
    """

    def __init__(
        self, answers: Sequence[ConvserveError | Callable[[list[Any]], list[Message]]] = ()
    ) -> None:
        self.clock = Clock()
        self.sent: list[tuple[str, list[Any], float]] = []
        self.pauses: list[float] = []
        self.traced: list[bool] = []
        self.locks: list[FakeLock] = []
        self.borrowed: list[int] = []
        self.lend: Callable[[int], SharedMemory] | None = None
        self._answers = list(answers)

    def answer(self, *answers: ConvserveError | Callable[[list[Any]], list[Message]]) -> None:
        """Add answers to the script."""
        self._answers += answers

    def session(self, timeout: float = 60.0, max_retries: int = 1, priority: int = 0) -> Session:
        """A session on this driver's clock, without jitter."""
        policy = Policy(max_retries, lambda: 0.0)
        return Session(timeout, policy, self._lock, self.clock, priority)

    def drive(self, flow: Flow[Any]) -> Any:
        """Run a flow to its end."""
        answer: Any = None
        error: ConvserveError | None = None
        try:
            for _ in itertools.count():
                command = flow.throw(error) if error else flow.send(answer)
                answer, error = self._perform(command)
        except StopIteration as stop:
            return stop.value

    def _perform(self, command: Command) -> tuple[Any, ConvserveError | None]:
        match command:
            case Pause():
                self.pauses.append(command.seconds)
                self.clock.now += command.seconds
                return None, None
            case Exclusive():
                command.lock.held += 1
                return self.drive(command.flow), None
        perform = self._borrow if isinstance(command, Borrow) else self._send
        try:
            return perform(command), None
        except ConvserveError as error:
            return None, error

    def _borrow(self, command: Borrow) -> SharedMemory:
        assert self.lend is not None
        self.borrowed.append(command.byte_count)
        return self.lend(command.byte_count)

    def _send(self, command: Send) -> Any:
        exchange = command.exchange
        parse = exchange.method.request.FromString
        requests = [parse(serialize(request)) for request in exchange.requests()]
        self.sent.append((exchange.method.name, requests, command.timeout))
        answer = self._answers.pop(0)
        if isinstance(answer, ConvserveError):
            raise answer
        for response in answer(requests):
            exchange.receive(parser(exchange.method.response)(response.SerializeToString()))
        self.traced.append(exchange.is_traced)
        if exchange.is_traced:
            exchange.trail([("server-timing", "encode;dur=250")])
        return exchange.result()

    def _lock(self) -> FakeLock:
        self.locks.append(FakeLock())
        return self.locks[-1]
