import os

from convserve_server.machine import memory_limit_bytes


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_memory_limit_is_that_of_the_tightest_control_group(tmp_path):
    unlimited = memory_limit_bytes(tmp_path)
    assert unlimited == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    groups = tmp_path / "sys/fs/cgroup"
    _write(tmp_path / "proc/self/cgroup", "0::/outer/inner\n")
    _write(groups / "memory.max", "max\n")
    _write(groups / "outer/memory.max", "5000000\n")
    _write(groups / "outer/inner/memory.max", "max\n")
    assert memory_limit_bytes(tmp_path) == 5_000_000
    _write(groups / "memory/memory.limit_in_bytes", "4000000\n")
    assert memory_limit_bytes(tmp_path) == 4_000_000
