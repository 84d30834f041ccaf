"""Models: networks whose weights stay in the tensor pool until they are unloaded, or evicted."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from attrs import define, field, frozen
from convserve.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    ModelNotFoundError,
    OverloadedError,
    TooLargeError,
)
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.servers import ModelInfo
from convserve.tensors import TensorSpec

from convserve_server.observability.logs import fields
from convserve_server.services.tensors import Parcel, TensorStore
from convserve_server.workers.arena import Placement, Region

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
RETRY_SECONDS = 5.0

Forget: TypeAlias = Callable[[str], Awaitable[None]]

_LOG = logging.getLogger(__name__)


@frozen
class Model:
    """A network, out of a header of `header_bytes`, and where its weights lie.

    `number` counts the server's models from 1. One that is `pinned` stays until the server's end.
    """

    id: str
    number: int
    network: Network
    options: RunOptions
    header_bytes: int
    placements: tuple[Placement, ...]
    parcels: tuple[Parcel, ...]
    pinned: bool = False

    @property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The specs of its weights."""
        return tuple(placement.spec for placement in self.placements)

    @property
    def info(self) -> ModelInfo:
        """What callers are told about it."""
        return ModelInfo(
            id=self.id,
            weight_bytes=sum(spec.byte_count for spec in self.weights),
            parameter_count=sum(spec.element_count for spec in self.weights),
            layer_count=len(self.network.layers),
            inputs=self.network.inputs,
            outputs=self.network.outputs,
        )


@define(eq=False)
class _Entry:
    """A resident model and how many runs use it now."""

    model: Model
    users: int = 0
    idle: asyncio.Event = field(factory=asyncio.Event)


class ModelStore:
    """The resident models. What they use of the tensor store outlives a worker that is lost.

    A model goes when another needs its room and it is the one unused for the longest time, or when
    it has not been used for `idle_seconds`; so one whose caller never learned of it does not stay
    for ever.
    """

    def __init__(self, forget: Forget, tensors: TensorStore, idle_seconds: float) -> None:
        """`forget` has the workers drop what they kept for a model's id."""
        self._forget = forget
        self._tensors = tensors
        self._idle_seconds = idle_seconds
        self._entries: dict[str, _Entry] = {}
        self._resting: OrderedDict[str, asyncio.TimerHandle] = OrderedDict()  # longest unused first
        self._freeing: set[asyncio.Task[None]] = set()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def room(self, byte_count: int, *, wait: bool = True) -> AsyncIterator[Region]:
        """A region for weights, which evicts models that nobody uses if need be.

        It is the block's to settle in the tensor store; if the block fails it is given back. Raises
        TooLargeError, and OverloadedError if the models in use leave too little, or if it may not
        `wait` for calls (see `TensorStore.reserve`).
        """
        await self._claim(byte_count)
        try:
            region = await self._tensors.reserve(byte_count, wait=wait)
        except BaseException:
            self._tensors.unclaim(byte_count)
            raise
        try:
            yield region
        except BaseException:  # a cancelled call too must give back what it holds
            self._tensors.give_back(region)
            raise

    async def _claim(self, byte_count: int) -> None:
        limit = self._tensors.capacity_bytes
        numbers = {"planned_bytes": byte_count, "limit_bytes": limit}
        if byte_count > limit:
            raise TooLargeError(
                f"the weights take {byte_count} bytes, and this server keeps at most {limit} bytes "
                "of models; run the network without loading it",
                metadata=numbers,
            )
        while not self._tensors.claim(byte_count):
            used = self._tensors.claimed_bytes - self._evictable_bytes()
            if used + byte_count > limit:
                raise OverloadedError(
                    f"the weights take {byte_count} bytes, but models in use hold {used} of the "
                    f"{limit} bytes for models; retry after {RETRY_SECONDS:g} s",
                    metadata={**numbers, "used_bytes": used},
                    retry_delay=RETRY_SECONDS,
                )
            await asyncio.shield(self._evict(next(iter(self._resting))))

    def _evictable_bytes(self) -> int:
        """Bytes of tensors that nobody uses, or only models that nobody uses."""
        users = Counter(p for name in self._resting for p in self._entries[name].model.parcels)
        evictable = (parcel for parcel, count in users.items() if parcel.users == count)
        return self._tensors.unused_bytes + sum(parcel.byte_count for parcel in evictable)

    def add(
        self,
        network: Network,
        options: RunOptions,
        header_bytes: int,
        placements: tuple[Placement, ...],
        parcels: tuple[Parcel, ...],
        name: str = "",
    ) -> Model:
        """Make a model resident. Each of `parcels` is held for it, and it drops them.

        With a `name` of its own it stays until the store is closed.
        """
        self._last_number += 1
        model = Model(
            id=name or f"m-{secrets.token_hex(8)}",
            number=self._last_number,
            network=network,
            options=options,
            header_bytes=header_bytes,
            placements=placements,
            parcels=parcels,
            pinned=bool(name),
        )
        self._entries[model.id] = _Entry(model)
        self._rest(model.id)
        return model

    @contextmanager
    def use(self, model_id: str) -> Iterator[Model]:
        """The model, which stays until the block ends. Raises ModelNotFoundError."""
        entry = self._entries.get(model_id)
        if entry is None:
            raise _not_found(model_id)
        entry.users += 1
        entry.idle.clear()
        self._wake(model_id)
        try:
            yield entry.model
        finally:
            entry.users -= 1
            if not entry.users:
                entry.idle.set()
                if model_id in self._entries:
                    self._rest(model_id)

    async def unload(self, model_id: str) -> None:
        """Take no new runs, wait for those in flight, and free the memory.

        It is freed also if the caller stops waiting. Raises ModelNotFoundError, and
        FailedPreconditionError for one that stays.
        """
        if model_id not in self._entries:
            raise _not_found(model_id)
        if self._entries[model_id].model.pinned:
            raise FailedPreconditionError(
                f"the model {model_id} was loaded at the server's start, and stays until its end",
                field="model_id",
                metadata={"value": model_id},
            )
        await asyncio.shield(self._remove(model_id))

    async def close(self) -> None:
        """Unload every model."""
        for name in list(self._entries):
            self._remove(name)
        await asyncio.gather(*self._freeing)

    def _rest(self, name: str) -> None:
        """Nobody uses the model from now on, until it is evicted or somebody does."""
        if self._entries[name].model.pinned:
            return
        loop = asyncio.get_running_loop()
        self._resting[name] = loop.call_later(self._idle_seconds, self._evict, name)

    def _wake(self, name: str) -> None:
        timer = self._resting.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _evict(self, name: str) -> asyncio.Task[None]:
        _LOG.info("model evicted", extra=fields(model_id=name))
        return self._remove(name)

    def _remove(self, name: str) -> asyncio.Task[None]:
        """Let nobody use the model any more, and free its memory in a task."""
        self._wake(name)
        task = asyncio.create_task(self._free(self._entries.pop(name)))
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)
        return task

    async def _free(self, entry: _Entry) -> None:
        if entry.users:
            await entry.idle.wait()
        await self._forget(entry.model.id)
        self._tensors.drop(entry.model.parcels)

    def page(self, page_size: int, page_token: str) -> tuple[tuple[ModelInfo, ...], str]:
        """Some models, oldest first, and the token of the next page ("" after the last).

        A page begins after the last model of the page before, so that models that come and go
        meanwhile are neither skipped nor shown twice. Raises InvalidArgumentError.
        """
        if page_size < 0:
            raise InvalidArgumentError(
                f"{page_size} is negative; the least is 0, which means {DEFAULT_PAGE_SIZE}",
                field="page_size",
                metadata={"value": page_size, "limit": 0},
            )
        after = _read_token(page_token)
        size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        models = [e.model for e in self._entries.values() if e.model.number > after]
        token = _write_token(models[size - 1].number) if len(models) > size else ""
        return tuple(model.info for model in models[:size]), token


def _not_found(model_id: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"there is no model {model_id[:100]!r}: it was never loaded, was unloaded, or the server "
        "restarted; load it again",
        field="model_id",
        metadata={"value": model_id[:100]},
    )


def _write_token(number: int) -> str:
    return base64.urlsafe_b64encode(f"models>{number}".encode()).decode()


def _read_token(token: str) -> int:
    if not token:
        return 0
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
        return int(text.removeprefix("models>"))
    except ValueError:
        raise InvalidArgumentError(
            "not a page token of this server; use next_page_token of the page before",
            field="page_token",
        ) from None
