"""What the client does, without any I/O: flows, and the commands that they give.

A flow is a generator. It yields commands, is sent their answers, and returns the call's result.
All logic lives in flows, once; `_transport.py` has the two drivers that carry commands out, one
blocking and one awaiting.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

from attrs import frozen
from convserve.services import Method, Outgoing

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Metadata: TypeAlias = Iterable[tuple[str, Any]]


class Exchange(Protocol[T_co]):
    """One attempt at one rpc: what to send, what to do with what comes, and the result.

    An exchange is used once; another attempt makes another one.
    """

    @property
    def method(self) -> Method:
        """The rpc."""
        ...

    @property
    def is_traced(self) -> bool:
        """Whether `trail` is to be called: metadata that nobody wants costs time, too."""
        ...

    def requests(self) -> Iterator[Outgoing]:
        """The messages to send, made as they are asked for; one if the rpc takes one."""
        ...

    def receive(self, message: Any) -> None:
        """Take one response. Raises ConvserveError for one that makes no sense."""
        ...

    def trail(self, metadata: Metadata) -> None:
        """Take the trailing metadata, once every response has been received."""
        ...

    def result(self) -> T_co:
        """The outcome, once everything has been received."""
        ...


@frozen
class Send:
    """Carry out an exchange within `timeout` seconds. The answer is its result."""

    exchange: Exchange[Any]
    timeout: float


@frozen
class Borrow:
    """Have memory shared by the server within `timeout` seconds. The answer is a SharedMemory."""

    byte_count: int
    timeout: float


@frozen
class Pause:
    """Wait for `seconds`. The answer is None."""

    seconds: float


@frozen
class Exclusive:
    """Run a flow while holding the driver's `lock`. The answer is the flow's result.

    Raises DeadlineExceededError if others hold the lock for `timeout` seconds.
    """

    lock: Any
    flow: Flow[Any]
    timeout: float


Command: TypeAlias = Send | Borrow | Pause | Exclusive
Flow: TypeAlias = Generator[Command, Any, T]
