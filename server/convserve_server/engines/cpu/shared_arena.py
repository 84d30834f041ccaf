"""One arena of ONNX Runtime for all sessions of the process, kept small between calls."""

from __future__ import annotations

from functools import cache

import onnxruntime

# What the arena may keep between calls. Without one, ResNet-50's activations came from a heap that
# was full of holes after a few calls: 50 MiB for 9 at batch 1, 360 for 147 at batch 16, and there
# 15 % slower, since pages were faulted in at each call (about 0.3 ms per MiB).
KEPT_BYTES = 64 << 20

# Regions of the size that is asked for, so that what it takes can be told beforehand; pieces of
# 64 KiB and more are cut off (by default from 128 MiB on).
_CONFIG = {"max_mem": 0, "arena_extend_strategy": 1, "max_dead_bytes_per_chunk": 64 << 10}
_EMPTYING = ("memory.enable_memory_arena_shrinkage", "cpu:0")


class SharedArena:
    """The arena, and what it holds at most by what ran since it was last emptied."""

    def __init__(self) -> None:
        _register()
        self._sizes: set[int] = set()
        self._held_bytes = 0

    def use(self, options: onnxruntime.SessionOptions) -> None:
        """Have a session use it, but for its weights, which stay."""
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        options.enable_mem_pattern = False  # a pattern is kept for each shape that ever came

    def options(self, size: int) -> onnxruntime.RunOptions | None:
        """How to run what takes `size` bytes of it; not None if that empties it afterwards.

        A size that was there before finds its regions again. What is emptied goes back to the heap,
        which `trim_heap` gives back.
        """
        if size in self._sizes:
            return None
        self._held_bytes += size
        if self._held_bytes <= KEPT_BYTES:
            self._sizes.add(size)
            return None
        self._sizes.clear()
        self._held_bytes = 0
        options = onnxruntime.RunOptions()
        options.add_run_config_entry(*_EMPTYING)
        return options


@cache  # once in a process, for good
def _register() -> None:
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg(_CONFIG))
