"""ONNX Runtime sessions: made once, kept in a bounded cache, run on the caller's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from attrs import evolve, frozen
from convserve.tensors import Array, TensorSpec, dtype_of, empty, wire_bytes
from crc32c import crc32c

from convserve_server.cache import ByteCache
from convserve_server.engines.cpu.graph import Graph
from convserve_server.engines.cpu.heap import exact_heap, trim_heap
from convserve_server.engines.cpu.shared_arena import SharedArena
from convserve_server.engines.cpu.writer import onnx_type

# Weights up to here become constants of a session; larger ones are inputs of one that fits any
# values. Always, not from the second time on: the two round differently, and equal calls must give
# equal bits. Measured on two cores (ms per call, constants | inputs; the first number is making the
# session with constants, 0.6 without): 3x3 64->64 @56 3.3: 1.06 | 1.34; depthwise 64 @112 0.8:
# 0.20 | 0.61; AlexNet's first 0.7: 0.66 | 0.86; 1x1 and 1-D: equal; 512->512 @7 (9.4 MB) 11 to 32:
# 0.95 | 1.48. Finding and comparing the weights costs 0.01 ms for 147 KB and 0.25 ms for 4 MiB, a
# hash would cost ten times that.
CONSTANT_BYTES = 4 << 20
# Of these, small ones are looked up by their values, in 1 us; a checksum of 864 bytes and comparing
# them takes 15.
COMPARED_BYTES = 64 << 10
# Results up to here are copied: that takes less time than binding memory (17 | 22 us for 32 KiB).
COPIED_BYTES = 256 << 10
# What a session is said to hold beside its model and weights. Measured: 60 to 80 KiB, and 38 more
# for each thread; more is said, so that the budget also bounds how many threads wait.
SESSION_BYTES = 128 << 10
THREAD_BYTES = 128 << 10


# Where constants come from: a caller's key, or their values, or the checksum of larger values.
Origin: TypeAlias = str | bytes | int


@frozen
class SessionKind:
    """How a session runs: on so many `threads`, and whether activations may change their layout.

    `blocked` activations are faster while they fit the caches, and take as much memory again.
    """

    blocked: bool
    threads: int


@frozen(eq=False)
class Session:
    """A session and the constants that it may still read."""

    native: onnxruntime.InferenceSession
    constants: tuple[Array, ...]


class Sessions:
    """Makes, keeps and runs sessions. One caller at a time."""

    def __init__(self, cache_bytes: int) -> None:
        # by serialized graph, kind, and origin of the constants
        self.kept: ByteCache[tuple[bytes, SessionKind, Origin], Session] = ByteCache(cache_bytes)
        self._arena = SharedArena()

    def run(
        self,
        graph: Graph,
        values: Mapping[str, Array],
        outputs: Mapping[str, Array],
        kind: SessionKind,
        key: str,
        arena_bytes: int = 0,
    ) -> bool:
        """Fill `outputs`. False if a probe is not finite, and `outputs` may be wrong.

        About `arena_bytes` lie between the inputs and the outputs.
        """
        session = self._find(graph, values, kind, key)
        specs = graph.inputs if session.constants else (*graph.inputs, *graph.parameters)
        inputs = {spec.name: np.ascontiguousarray(values[spec.name]) for spec in specs}
        results = {name: outputs[spec.name] for spec, name in graph.outputs}
        options = self._arena.options(arena_bytes)
        if _are_small(results.values()) and _are_plain((*inputs.values(), *results.values())):
            probes = _run_and_copy(session.native, inputs, results, graph.probes, options)
        else:
            probes = _run_in_place(session.native, inputs, results, graph, options)
        if options is not None:
            trim_heap()
        return all(map(np.isfinite, probes))

    def forget(self, key: str) -> None:
        """Drop the sessions whose constants are those of `key`."""
        self.kept.drop(lambda kept: kept[2] == key)

    def _find(
        self, graph: Graph, values: Mapping[str, Array], kind: SessionKind, key: str
    ) -> Session:
        """A session with the weights as constants where that pays, else with them as inputs."""
        weights = tuple(np.ascontiguousarray(values[spec.name]) for spec in graph.parameters)
        size = sum(weight.nbytes for weight in weights)
        if weights and key and size <= self.kept.limit_bytes // 2:
            return self._get(graph, kind, key, weights, size)
        if weights and not key and size <= CONSTANT_BYTES:
            if size <= COMPARED_BYTES:
                return self._get(graph, kind, b"".join(map(wire_bytes, weights)), weights, 3 * size)
            checksum = crc32c(graph.with_constants)
            for weight in weights:
                checksum = crc32c(wire_bytes(weight), checksum)
            session = self._get(graph, kind, checksum, weights, 2 * size)
            if all(map(_same, session.constants, weights)):
                return session
        # weights that are inputs stay as they are: blocks would only be made and unmade around them
        return self._get(graph, evolve(kind, blocked=kind.blocked and not weights), "", (), 0)

    def _get(
        self,
        graph: Graph,
        kind: SessionKind,
        origin: Origin,
        constants: tuple[Array, ...],
        size: int,
    ) -> Session:
        model = graph.with_constants if constants else graph.with_inputs
        session = self.kept.get((model, kind, origin))
        if session is None:
            if not isinstance(origin, str):  # the weights of a call go away; those of a key stay
                constants = tuple(array.copy() for array in constants)
            session = self._make(model, graph.parameters, constants, kind)
            size += len(model) + SESSION_BYTES + THREAD_BYTES * kind.threads
            self.kept.put((model, kind, origin), session, size)
        return session

    def _make(
        self,
        model: bytes,
        parameters: tuple[TensorSpec, ...],
        constants: tuple[Array, ...],
        kind: SessionKind,
    ) -> Session:
        options = self._options(kind)
        if constants:
            names = [spec.name for spec in parameters]
            options.add_external_initializers(names, [_value(array) for array in constants])
        providers = ["CPUExecutionProvider"]
        with exact_heap():  # the weights are copied several times meanwhile
            return Session(onnxruntime.InferenceSession(model, options, providers), constants)

    def _options(self, kind: SessionKind) -> onnxruntime.SessionOptions:
        """Own threads for each session: the process-wide pool of ONNX Runtime's Python interface
        cannot be told not to spin (it burned 40 ms of CPU after each call), and these can.
        """
        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if kind.blocked else levels.ORT_ENABLE_EXTENDED
        )
        options.intra_op_num_threads = kind.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # In the order of the graph: the other one leaves the probes for the end, and with them
        # every tensor that they look at.
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        self._arena.use(options)
        options.log_severity_level = 4  # errors are raised, and told once by who catches them
        return options


def _run_and_copy(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Array],
    results: Mapping[str, Array],
    probes: Sequence[str],
    options: onnxruntime.RunOptions | None,
) -> Sequence[Array]:
    """Fill `results` from what the session allocates; returns the probes."""
    with _as_memory_error():
        found: list[Array] = session.run([*results, *probes], inputs, options)
    for place, result in zip(results.values(), found, strict=False):
        place[...] = result
    return found[len(results) :]


def _run_in_place(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Array],
    results: Mapping[str, Array],
    graph: Graph,
    options: onnxruntime.RunOptions | None,
) -> Sequence[Array]:
    """Have the session write into `results` where they are contiguous; returns the probes."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_input(name, "cpu", 0, _type(array.dtype), array.shape, _address(array))
    targets = {name: _contiguous(results[name], spec) for spec, name in graph.outputs}
    probes = {name: np.empty((), np.float32) for name in graph.probes}
    for name, array in (*targets.items(), *probes.items()):
        binding.bind_output(name, "cpu", 0, _type(array.dtype), array.shape, _address(array))
    with _as_memory_error():
        session.run_with_iobinding(binding, options)
    for name, target in targets.items():
        if target is not results[name]:
            results[name][...] = target
    return list(probes.values())


@contextmanager
def _as_memory_error() -> Iterator[None]:
    """An allocation that fails inside is a MemoryError, as it is in NumPy."""
    try:
        yield
    except Exception as error:  # each of its interfaces raises a class of its own
        if "bad_alloc" in str(error) or "Failed to allocate memory" in str(error):
            raise MemoryError("ONNX Runtime") from error
        raise


def _are_small(results: Iterable[Array]) -> bool:
    return sum(array.nbytes for array in results) <= COPIED_BYTES


def _are_plain(arrays: Iterable[Array]) -> bool:
    """Whether NumPy itself knows their types: ONNX Runtime's Python interface takes no others."""
    return all(array.dtype.isbuiltin == 1 for array in arrays)


def _contiguous(output: Array, spec: TensorSpec) -> Array:
    return output if output.flags.c_contiguous else empty(spec)


@cache  # there are as many as element types
def _type(dtype: np.dtype[Any]) -> int:
    return onnx_type(dtype.name)


def _address(array: Array) -> int:
    """As `array.ctypes.data`, which takes ten times as long."""
    address: int = array.__array_interface__["data"][0]
    return address


def _value(array: Array) -> onnxruntime.OrtValue:
    if array.dtype == dtype_of("bfloat16"):  # unknown to ONNX Runtime's Python interface
        bits = array.view(np.uint16)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, onnx_type("bfloat16"))
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _same(one: Array, other: Array) -> bool:
    """Whether all bits are equal, NaN included."""
    return bool(np.array_equal(np.asarray(wire_bytes(one)), np.asarray(wire_bytes(other))))
