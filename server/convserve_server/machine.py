"""What this process may use of the machine: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path


def usable_threads() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def memory_limit_bytes(root: Path = Path("/")) -> int:
    """The memory that this process may use: the machine's, or its control group's if less.

    `root` is where `sys/fs/cgroup` and `proc/self/cgroup` are looked up.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _limit_files(root):
        try:
            text = path.read_text().strip()
        except OSError:
            continue  # this kind of control group is not mounted here
        if text.isdigit():  # "max" is no limit
            limits.append(int(text))
    return min(limits)


def _limit_files(root: Path) -> list[Path]:
    """Version 2's limit of each group from this process's own up to the root, and version 1's."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = [mount / line[3:].lstrip("/") for line in lines if line.startswith("0::")]
    groups = [mount] + [
        group for path in own for group in (path, *path.parents) if mount in group.parents
    ]
    files = [group / "memory.max" for group in groups]
    return [*files, mount / "memory/memory.limit_in_bytes"]
