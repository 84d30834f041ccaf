"""Models: networks whose weights stay in the tensor pool until they are unloaded, or evicted."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field, frozen
from convserve.errors import (
    InvalidArgumentError,
    ModelNotFoundError,
    OverloadedError,
    TooLargeError,
)
from convserve.networks import Network
from convserve.plans import ModelInfo, RunOptions
from convserve.tensors import TensorSpec

from convserve_server.observability.logs import fields
from convserve_server.workers.arena import Placement, Region
from convserve_server.workers.worker import Worker

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
RETRY_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


@frozen
class Model:
    """A network, out of a header of `header_bytes`, and where its weights lie.

    `number` counts the server's models from 1.
    """

    id: str
    number: int
    network: Network
    options: RunOptions
    header_bytes: int
    placements: tuple[Placement, ...]
    region: Region

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
    """The resident models. It owns their regions, so that a lost worker loses no model.

    All models together may hold `capacity_bytes` of the tensor pool. A model goes when another
    needs its room and it is the one unused for the longest time, or when it has not been used for
    `idle_seconds`; so one whose caller never learned of it does not stay for ever.
    """

    def __init__(self, worker: Worker, capacity_bytes: int, idle_seconds: float) -> None:
        self._worker = worker
        self._capacity = capacity_bytes
        self._idle_seconds = idle_seconds
        self._claimed_bytes = 0
        self._entries: dict[str, _Entry] = {}
        self._resting: OrderedDict[str, asyncio.TimerHandle] = OrderedDict()  # longest unused first
        self._freeing: set[asyncio.Task[None]] = set()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def claimed_bytes(self) -> int:
        """Bytes of the pool that models hold, those being loaded or freed included."""
        return self._claimed_bytes

    async def claim(self, byte_count: int) -> None:
        """Set bytes of the models' share aside, evicting models that nobody uses if need be.

        Raises TooLargeError, and OverloadedError if the models in use leave too little.
        """
        numbers = {"planned_bytes": byte_count, "limit_bytes": self._capacity}
        if byte_count > self._capacity:
            raise TooLargeError(
                f"the weights take {byte_count} bytes, and this server keeps at most "
                f"{self._capacity} bytes of models; run the network without loading it",
                metadata=numbers,
            )
        while self._claimed_bytes + byte_count > self._capacity:
            evictable = sum(self._entries[name].model.region.byte_count for name in self._resting)
            if self._claimed_bytes - evictable + byte_count > self._capacity:
                raise OverloadedError(
                    f"the weights take {byte_count} bytes, but models in use hold "
                    f"{self._claimed_bytes - evictable} of the {self._capacity} bytes for models; "
                    f"retry after {RETRY_SECONDS:g} s",
                    metadata={**numbers, "used_bytes": self._claimed_bytes - evictable},
                    retry_delay=RETRY_SECONDS,
                )
            await asyncio.shield(self._evict(next(iter(self._resting))))
        self._claimed_bytes += byte_count

    def unclaim(self, byte_count: int) -> None:
        """Give back what was set aside."""
        self._claimed_bytes -= byte_count

    def add(
        self,
        network: Network,
        options: RunOptions,
        header_bytes: int,
        placements: tuple[Placement, ...],
        region: Region,
    ) -> Model:
        """Make a model resident. The store owns the region and its claim from now on."""
        self._last_number += 1
        name = f"m-{secrets.token_hex(8)}"
        model = Model(name, self._last_number, network, options, header_bytes, placements, region)
        self._entries[name] = _Entry(model)
        self._rest(name)
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

        It is freed also if the caller stops waiting. Raises ModelNotFoundError.
        """
        if model_id not in self._entries:
            raise _not_found(model_id)
        await asyncio.shield(self._remove(model_id))

    async def close(self) -> None:
        """Unload every model."""
        for name in list(self._entries):
            self._remove(name)
        await asyncio.gather(*self._freeing)

    def _rest(self, name: str) -> None:
        """Nobody uses the model from now on, until it is evicted or somebody does."""
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
        await self._worker.forget(entry.model.id)
        entry.model.region.release()
        self.unclaim(entry.model.region.byte_count)

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
