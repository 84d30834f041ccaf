"""What the kernel tells of processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that any thread of `pid` has started; a thread may end while it is asked."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (thread / "children").read_text().split())
    return found


def command_of(pid: int) -> str:
    """Its command line, with spaces between the words."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def mapped_files(pid: int) -> set[str]:
    """The files, such as libraries, that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {words[5] for words in (line.split(maxsplit=5) for line in lines) if len(words) > 5}
