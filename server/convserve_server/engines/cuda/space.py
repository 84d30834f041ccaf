"""Who has what of the device's memory: work that has begun, and weights that are resident."""

from __future__ import annotations

from convserve.errors import TooLargeError

from convserve_server.engines.cuda.arena import Slab
from convserve_server.engines.cuda.device import Device, Lane
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.jobs import Job
from convserve_server.engines.cuda.loading import Loaded
from convserve_server.engines.cuda.residents import Resident, Residents


class Space:
    """The slab of a device. What fits it alone always gets room, if only later."""

    def __init__(self, device: Device) -> None:
        self._slab = Slab(device.base, device.byte_count)
        self._residents = Residents()
        self._jobs: list[Job] = []  # oldest first; those that are over leave with the next

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody has."""
        return self._slab.free_bytes

    def begin(self, lanes: list[Lane]) -> Job:
        """A new job, in the lane that has the fewest."""
        self._jobs = [job for job in self._jobs if not job.is_over]
        busy = [job.lane for job in self._jobs]
        self._jobs.append(Job(min(lanes, key=busy.count)))
        return self._jobs[-1]

    def take(self, job: Job, loaded: Loaded, key: str) -> tuple[Site, Resident, bool]:
        """Room for a job, until it ends, and weights; True if those must be prepared first.

        Waits for older jobs where there is no room, and then evicts weights. Raises TooLargeError.
        """
        while (found := self._try(job, loaded, key)) is None:
            if not self._wait_for_oldest(job) and not self._residents.evict():
                raise _too_large(loaded, self._slab)
        return found

    def keep(self, key: str, resident: Resident, job: Job) -> None:
        """Keep weights that a job has been given the preparation of; not those of no key."""
        if key and resident.byte_count:
            self._residents.add(key, resident, job.lane.mark())

    def forget(self, key: str) -> None:
        """Free the weights of a key, each as soon as nothing reads it."""
        self._residents.forget(key)

    def close(self) -> None:
        """Wait for all jobs, and end them."""
        for job in self._jobs:
            job.end()

    def _try(self, job: Job, loaded: Loaded, key: str) -> tuple[Site, Resident, bool] | None:
        placement = loaded.placement
        working = self._slab.take(placement.working_bytes)
        if working is None:
            return None
        resident = self._residents.find(key, loaded) if key else None
        is_new = resident is None
        if resident is None:
            lasting = self._slab.take(placement.lasting_bytes, lasting=True)
            if lasting is None:
                working.release()
                return None
            resident = Resident(loaded, lasting)
        job.held.callback(working.release)
        job.held.callback(resident.release)
        resident.acquire()
        job.site = Site(loaded, working.address, resident.address)
        return job.site, resident, is_new

    def _wait_for_oldest(self, job: Job) -> bool:
        """End the oldest job but this one; False if there is none."""
        for other in self._jobs:
            if other is not job and not other.is_over:
                other.end()
                return True
        return False


def _too_large(loaded: Loaded, slab: Slab) -> TooLargeError:
    size = loaded.placement.byte_count
    return TooLargeError(
        f"the work takes {size} bytes of the device's memory, of which the engine has "
        f"{slab.byte_count}; make the tensors smaller or split the batch",
        metadata={"bytes": size, "limit": slab.byte_count},
    )
