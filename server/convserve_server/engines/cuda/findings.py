"""What a look for GPUs has found. Plain data: the front reads it, and imports nothing of CUDA."""

from __future__ import annotations

from attrs import field, frozen

MARGIN_BYTES = 2 << 30  # for the context, loaded kernels, and the library's own memory
MARGIN_SHARE = 20


@frozen(kw_only=True)
class Gpu:
    """A GPU by its number among those that are visible, and its place on the bus."""

    number: int
    name: str = ""
    memory_bytes: int = 0
    free_bytes: int = 0
    compute_capability: str = ""
    bus: str = ""

    @property
    def usable_bytes(self) -> int:
        """What an engine may reserve: all that is free, but for a margin."""
        return max(0, self.free_bytes - max(MARGIN_BYTES, self.memory_bytes // MARGIN_SHARE))


@frozen(kw_only=True)
class Findings:
    """The GPUs that can be used, or the `reason` why there is none; and libraries' versions."""

    gpus: tuple[Gpu, ...] = ()
    reason: str = ""
    versions: dict[str, str] = field(factory=dict)
