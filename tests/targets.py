"""Devices for tests of services, without a worker."""

from __future__ import annotations

from convserve.servers import Device
from convserve_server.planning.program import Advisor
from convserve_server.services.plans import Host
from convserve_server.services.targets import Preparation, Target, Targets


class IdlePool:
    """A pool of workers with so much to do, which may be unable to do it."""

    def __init__(self, load: int = 0, *, is_able: bool = True) -> None:
        self.load = load
        self.is_able = is_able


def target_of(
    advisor: Advisor,
    budget_bytes: int = 1 << 20,
    *,
    device: Device | None = None,
    pool: IdlePool | None = None,
    lanes: int = 1,
    preparation: Preparation | None = None,
) -> Target:
    """A device that nothing is run on; the CPU if none is given."""
    device = device or Device(name="cpu", engine="reference")
    return Target(
        device=device,
        host=Host(device.name, device.engine, 2, 1 << 30),
        pool=pool or IdlePool(),
        advisor=advisor,
        budget_bytes=budget_bytes,
        lanes=lanes,
        preparation=preparation,
    )


def cpu_alone(advisor: Advisor, budget_bytes: int = 1 << 20) -> Targets:
    """The devices of a server that has none but the CPU."""
    return Targets([target_of(advisor, budget_bytes)])
