"""ONNX Runtime sessions: made once, kept in a bounded cache, run on the caller's memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime
from attrs import frozen
from convserve.tensors import Array, TensorSpec, dtype_of, empty, wire_bytes
from crc32c import crc32c

from convserve_server.cache import ByteCache
from convserve_server.engines.cpu.graph import Graph
from convserve_server.engines.cpu.writer import onnx_type

# Weights up to here become constants of a session; larger ones are inputs of one that fits any
# values. Always, not from the second time on: the two round differently, and equal calls must give
# equal bits. Measured on two cores (ms per call, constants | inputs; the first number is making the
# session with constants, 0.6 without): 3x3 64->64 @56 3.3: 1.06 | 1.34; depthwise 64 @112 0.8:
# 0.20 | 0.61; AlexNet's first 0.7: 0.66 | 0.86; 1x1 and 1-D: equal; 512->512 @7 (9.4 MB) 11 to 32:
# 0.95 | 1.48. Finding and comparing the weights costs 0.01 ms for 147 KB and 0.25 ms for 4 MiB, a
# hash would cost ten times that.
CONSTANT_BYTES = 4 << 20
# What a session is said to hold beside its model and weights. Measured: 60 to 80 KiB, and 38 more
# for each thread; more is said, so that the budget also bounds how many threads wait.
SESSION_BYTES = 128 << 10
THREAD_BYTES = 128 << 10


@frozen(eq=False)
class Session:
    """A session and the constants that it may still read."""

    native: onnxruntime.InferenceSession
    constants: tuple[Array, ...]


class Sessions:
    """Makes, keeps and runs sessions with `threads` threads each. One caller at a time."""

    def __init__(self, threads: int, cache_bytes: int) -> None:
        self._threads = threads
        # by (serialized graph, layout, origin of the constants: a caller's key, or a checksum)
        self.kept: ByteCache[tuple[bytes, bool, str | int], Session] = ByteCache(cache_bytes)

    def run(
        self,
        graph: Graph,
        values: Mapping[str, Array],
        outputs: Mapping[str, Array],
        *,
        blocked: bool,
        key: str,
    ) -> bool:
        """Fill `outputs`. False if a probe is not finite, and `outputs` may be wrong.

        `blocked` lets ONNX Runtime change the layout of activations, which is faster while they
        fit the caches and takes as much memory again.
        """
        session = self._find(graph, values, blocked, key)
        binding = session.native.io_binding()
        inputs = [values[spec.name] for spec in graph.inputs]
        names = [spec.name for spec in graph.inputs]
        if not session.constants:
            inputs += [values[spec.name] for spec in graph.parameters]
            names += [spec.name for spec in graph.parameters]
        inputs = [np.ascontiguousarray(array) for array in inputs]
        for name, array in zip(names, inputs, strict=True):
            binding.bind_input(name, "cpu", 0, _type(array), array.shape, array.ctypes.data)
        results = {name: _contiguous(outputs[spec.name], spec) for spec, name in graph.outputs}
        results |= {name: np.empty((), np.float32) for name in graph.probes}
        for name, array in results.items():
            binding.bind_output(name, "cpu", 0, _type(array), array.shape, array.ctypes.data)
        _run(session.native, binding)
        for spec, name in graph.outputs:
            if results[name] is not outputs[spec.name]:
                outputs[spec.name][...] = results[name]
        return all(np.isfinite(results[name]) for name in graph.probes)

    def forget(self, key: str) -> None:
        """Drop the sessions whose constants are those of `key`."""
        self.kept.drop(lambda kept: kept[2] == key)

    def _find(self, graph: Graph, values: Mapping[str, Array], blocked: bool, key: str) -> Session:
        """A session with the weights as constants where that pays, else with them as inputs."""
        weights = tuple(np.ascontiguousarray(values[spec.name]) for spec in graph.parameters)
        size = sum(weight.nbytes for weight in weights)
        if weights and key and size <= self.kept.limit_bytes // 2:
            return self._get(graph, blocked, key, weights, size)
        if weights and not key and size <= CONSTANT_BYTES:
            checksum = crc32c(graph.with_constants)
            for weight in weights:
                checksum = crc32c(wire_bytes(weight), checksum)
            session = self._get(graph, blocked, checksum, weights, 2 * size)
            if all(map(_same, session.constants, weights)):
                return session
        return self._get(graph, blocked, "", (), 0)

    def _get(
        self,
        graph: Graph,
        blocked: bool,
        origin: str | int,
        constants: tuple[Array, ...],
        size: int,
    ) -> Session:
        model = graph.with_constants if constants else graph.with_inputs
        session = self.kept.get((model, blocked, origin))
        if session is None:
            if isinstance(origin, int):  # the weights of a call go away; those of a key stay
                constants = tuple(array.copy() for array in constants)
            session = self._make(model, graph.parameters, constants, blocked)
            size += len(model) + SESSION_BYTES + THREAD_BYTES * self._threads
            self.kept.put((model, blocked, origin), session, size)
        return session

    def _make(
        self,
        model: bytes,
        parameters: tuple[TensorSpec, ...],
        constants: tuple[Array, ...],
        blocked: bool,
    ) -> Session:
        options = self._options(blocked)
        if constants:
            names = [spec.name for spec in parameters]
            options.add_external_initializers(names, [_value(array) for array in constants])
        providers = ["CPUExecutionProvider"]
        return Session(onnxruntime.InferenceSession(model, options, providers), constants)

    def _options(self, blocked: bool) -> onnxruntime.SessionOptions:
        """Own threads for each session: the process-wide pool of ONNX Runtime's Python interface
        cannot be told not to spin (it burned 40 ms of CPU after each call), and these can.
        """
        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if blocked else levels.ORT_ENABLE_EXTENDED
        )
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # what a call needs goes back when it ends
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # errors are raised, and told once by who catches them
        return options


def _run(session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding) -> None:
    """Run; an allocation that fails inside is a MemoryError, as it is in NumPy."""
    try:
        session.run_with_iobinding(binding)
    except RuntimeError as error:
        if "bad_alloc" in str(error) or "Failed to allocate memory" in str(error):
            raise MemoryError("ONNX Runtime") from error
        raise


def _contiguous(output: Array, spec: TensorSpec) -> Array:
    return output if output.flags.c_contiguous else empty(spec)


def _type(array: Array) -> int:
    return onnx_type(array.dtype.name)


def _value(array: Array) -> onnxruntime.OrtValue:
    if array.dtype == dtype_of("bfloat16"):  # unknown to ONNX Runtime's Python interface
        bits = array.view(np.uint16)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, onnx_type("bfloat16"))
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _same(one: Array, other: Array) -> bool:
    """Whether all bits are equal, NaN included."""
    return bool(np.array_equal(np.asarray(wire_bytes(one)), np.asarray(wire_bytes(other))))
