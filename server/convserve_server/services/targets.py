"""The devices that a server computes on, and which of them a call is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from attrs import field, frozen
from convserve.errors import DeviceNotFoundError
from convserve.runs import RunOptions
from convserve.servers import Device

from convserve_server.planning.program import Advisor, Work
from convserve_server.scheduling.pool import WorkerPool
from convserve_server.services.plans import Host

CPU, GPUS = "cpu", "cuda"  # a GPU is called `cuda:0`, and any of them `cuda`


class Preparation(Protocol):
    """Gets a kind of device ready for work before that is queued."""

    async def prepare(self, works: Sequence[Work], options: RunOptions) -> Advisor:
        """Have everything built that running the works takes; returns who knows what it was.

        Raises ConvserveError if it cannot be built.
        """
        ...

    def expect(self, work: bytes, rows: int, precision: str, layout: str) -> None:
        """Have encoded work built for so many rows too, in the background: calls were joined."""
        ...

    def doubt(self) -> None:
        """What was built may have gone: look for it before it is relied on."""
        ...

    async def close(self) -> None:
        """End what goes on in the background."""
        ...


@frozen(eq=False, kw_only=True)
class Target:
    """A device that computes. `host` is what plans depend on, `lanes` how much runs there at once.

    Its workers have `budget_bytes` for all that they compute. What `advisor` tells holds for any
    work, unless there is a `preparation`, whose advisors know more.
    """

    device: Device
    host: Host
    pool: WorkerPool
    advisor: Advisor
    budget_bytes: int
    lanes: int = 1
    preparation: Preparation | None = None


@frozen(eq=False)
class Choice:
    """Targets alike, any of which may run a call."""

    targets: tuple[Target, ...]
    budget_bytes: int = field(init=False)

    @budget_bytes.default
    def _least(self) -> int:
        return min(target.budget_bytes for target in self.targets)

    @property
    def first(self) -> Target:
        """Whose advice holds for all."""
        return self.targets[0]

    def pick(self) -> Target:
        """The one with the least to do, of those that are able to work."""
        if len(self.targets) == 1:
            return self.targets[0]
        return min(self.targets, key=lambda target: (not target.pool.is_able, target.pool.load))


class Targets:
    """All devices of a server, the default first; `missing` are those that cannot be used, and why.

    `cuda` is whichever GPU has the least to do, of those of one kind with the first. `default` is
    the name of what runs calls that name no device.
    """

    def __init__(
        self, targets: Sequence[Target], default: str = "", missing: Sequence[Device] = ()
    ) -> None:
        """Raises DeviceNotFoundError if there is no such default."""
        self._all = tuple(targets)
        self._missing = tuple(missing)
        self._choices = {target.device.name: Choice((target,)) for target in targets}
        gpus = [target for target in targets if target.device.name != CPU]
        if gpus:
            self._choices[GPUS] = Choice(tuple(gpu for gpu in gpus if _are_alike(gpu, gpus[0])))
        self.default = self.choice(default or (GPUS if gpus else CPU))
        self._choices[""] = self.default

    @property
    def devices(self) -> tuple[Device, ...]:
        """What callers are told of: the default first, those that cannot be used last."""
        others = (target for target in self._all if target is not self.default.first)
        return (*(target.device for target in (self.default.first, *others)), *self._missing)

    @property
    def pools(self) -> tuple[WorkerPool, ...]:
        """The workers of all devices."""
        return tuple(target.pool for target in self._all)

    def doubt(self) -> None:
        """What was built for a device may have gone: have it looked for."""
        for preparation in self._preparations:
            preparation.doubt()

    async def close(self) -> None:
        """End what goes on in the background; the pools are others'."""
        for preparation in self._preparations:
            await preparation.close()

    @property
    def _preparations(self) -> tuple[Preparation, ...]:
        return tuple(target.preparation for target in self._all if target.preparation)

    def choice(self, name: str) -> Choice:
        """What may run a call for this device. Raises DeviceNotFoundError, field `device`."""
        self.check(name)
        return self._choices[name]

    def host(self, name: str) -> Host:
        """What plans for this device depend on; the default's for one that is not ours."""
        return self._choices.get(name, self.default).first.host

    def check(self, name: str, planned: Iterable[str] = ()) -> None:
        """Raise DeviceNotFoundError, field `device`, unless it is empty, or the server's.

        Where something is only planned, it may be one of `planned` too.
        """
        others = list(planned)
        if name and name not in (*self._choices, *others):
            raise DeviceNotFoundError(
                f"{name[:100]!r} is not a device of this server; {self._offer(others)}",
                field="device",
                metadata={"value": name[:100]},
            )

    def _offer(self, planned: Sequence[str]) -> str:
        own = ", ".join(name for name in self._choices if name)
        profiles = f", and plans for {', '.join(planned)}" if planned else ""
        missing = "".join(f"; {each.name}: {each.description}" for each in self._missing)
        return f"it has {own}{profiles}{missing}"


def _are_alike(gpu: Target, other: Target) -> bool:
    return gpu.device.description == other.device.description
