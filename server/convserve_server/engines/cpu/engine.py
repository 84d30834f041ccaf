"""The cpu engine: ONNX Runtime, BLAS and SciPy's FFT, each where it is best."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from convserve.operations import ConvInputGradient, ConvWeightGradient, operation_kind
from convserve.runs import StepRecord
from convserve.tensors import Array, empty

from convserve_server.cache import ByteCache
from convserve_server.engines.base import STRICT
from convserve_server.engines.cpu import signals
from convserve_server.engines.cpu.advice import FFT_ALGORITHMS, CpuAdvisor, join
from convserve_server.engines.cpu.footprint import PACKED_BYTES
from convserve_server.engines.cpu.graph import Graph, build_graph
from convserve_server.engines.cpu.sessions import SessionKind, Sessions
from convserve_server.engines.cpu.stages import Stage, make_stages
from convserve_server.engines.cpu.steps import run_gradient, run_step
from convserve_server.engines.cpu.team import Team, use_one_blas_thread
from convserve_server.engines.cpu.windows import available_threads
from convserve_server.engines.expansion import owner
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.program import Advice, OperationStep, Program, Step, Work

CACHE_BYTES = 2 * PACKED_BYTES
STAGE_BYTES = 16 << 20  # of the graphs of programs that ran before
STEP_BYTES = 4 << 10  # what one step of them takes beside its graph, roughly


class CpuEngine:
    """Runs work on the processors. See `Engine`.

    `threads` is for each of the libraries, by default every processor that this process may use.
    `cache_bytes` bounds the sessions that are kept, with the weights in them.
    """

    name = "cpu"

    def __init__(self, threads: int | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        self._threads = threads or available_threads()
        self._advisor = CpuAdvisor(self._threads)
        self._sessions = Sessions(cache_bytes)
        self._stages: ByteCache[tuple[Program, bool], tuple[Stage, ...]] = ByteCache(STAGE_BYTES)
        self._reference = ReferenceEngine()
        self._team = Team(self._threads)
        use_one_blas_thread()

    def run(
        self,
        work: Work,
        tensors: Mapping[str, Array],
        outputs: Mapping[str, Array],
        key: str = "",
        precision: str = STRICT,
    ) -> tuple[StepRecord, ...]:
        """See `Engine.run`. Whatever `precision` allows, it computes strictly."""
        if isinstance(work, OperationStep):
            advice = self._run_operation(work, tensors, outputs[work.output.name])
            return (_record(operation_kind(work.operation), advice),)
        values = dict(tensors)
        advised: dict[str, list[Advice]] = {}
        for stage in self._find_stages(work):
            results = {
                spec.name: outputs[spec.name] if spec.name in outputs else empty(spec)
                for spec in stage.outputs
            }
            advice = self._run_stage(stage, values, results, key)
            for step in stage.steps:
                advised.setdefault(owner(step.output.name), []).append(advice)
            values.update(results)
            for name in stage.finished:
                del values[name]
        return tuple(_record(name, join(advices)) for name, advices in advised.items())

    def forget(self, key: str) -> None:
        """See `Engine.forget`."""
        self._sessions.forget(key)

    def _find_stages(self, program: Program, *, fft: bool = True) -> tuple[Stage, ...]:
        stages = self._stages.get((program, fft))
        if stages is None:
            stages = make_stages(program, self._advisor, fft=fft)
            graphs = [stage.graph for stage in stages if stage.graph]
            size = sum(len(graph.with_inputs) + len(graph.with_constants) for graph in graphs)
            self._stages.put((program, fft), stages, size + STEP_BYTES * len(program.steps))
        return stages

    def _run_stage(
        self, stage: Stage, values: Mapping[str, Array], results: Mapping[str, Array], key: str
    ) -> Advice:
        """Fill `results`. Returns the advice that was followed."""
        step, advice = stage.steps[0], stage.advice
        if all(result.size == 0 for result in results.values()):
            return advice  # a batch of 0
        if advice.algorithm in FFT_ALGORITHMS:
            if self._run_by_fft(step, advice.algorithm, values, results[step.output.name]):
                return advice
            (direct,) = self._find_stages(_alone(step), fft=False)
            return self._run_stage(direct, values, results, key)
        if stage.graph is not None:
            self._run_graph(stage, stage.graph, values, results, key)
        elif advice.engine == self.name:
            run_step(step, values, results[step.output.name], self._team)
        else:
            self._reference.run(_alone(step), values, results)
        return advice

    def _run_graph(
        self,
        stage: Stage,
        graph: Graph,
        values: Mapping[str, Array],
        results: Mapping[str, Array],
        key: str,
    ) -> None:
        kind = SessionKind(stage.blocked, 1 if stage.small else self._threads)
        if not self._sessions.run(graph, values, results, kind, key, stage.arena_bytes):
            careful = build_graph(stage.steps, stage.outputs, careful=True)
            self._sessions.run(careful, values, results, evolve(kind, blocked=False), key)

    def _run_by_fft(
        self, step: Step, algorithm: str, values: Mapping[str, Array], out: Array
    ) -> bool:
        """Fill `out` with a one-channel convolution, unless the values forbid an FFT."""
        x, weight, *bias = (values[spec.name] for spec in (*step.inputs, *step.parameters))
        samples = [signals.read_layer(step, sample, weight[0, 0]) for sample in x[:, 0]]
        if not all(map(signals.survives_fft, samples)):
            return False
        for sample, place in zip(samples, out[:, 0], strict=True):
            added = bias[0].item() if bias else 0
            signals.convolve_by_fft(sample, algorithm, self._team, place, added)
        return True

    def _run_operation(
        self, step: OperationStep, tensors: Mapping[str, Array], out: Array
    ) -> Advice:
        first, second = (tensors[spec.name] for spec in step.operands)
        if isinstance(step.operation, ConvInputGradient | ConvWeightGradient):
            run_gradient(step, first, second, out, self._team)
            return self._advisor.advise(step)
        pair = signals.read_signals(step, first, second)
        advice = self._advisor.advise(step, fft=signals.survives_fft(pair))
        match advice.algorithm:
            case "fft" | "overlap_save" as algorithm:
                signals.convolve_by_fft(pair, algorithm, self._team, out)
            case "onnxruntime":
                layer, x, weight = signals.as_layer(pair, step.output)
                values = {layer.inputs[0].name: x, layer.parameters[0].name: weight}
                (stage,) = self._find_stages(_alone(layer), fft=False)
                self._run_stage(stage, values, {layer.output.name: out[None, None]}, "")
            case "im2col":
                signals.convolve_by_columns(pair, out, self._team)
            case "direct":
                signals.convolve_directly(pair, out)
            case _:
                self._reference.run(step, tensors, {step.output.name: out})
        return advice


def _alone(step: Step) -> Program:
    return Program(step.inputs, (step,), (step.output.name,))


def _record(name: str, advice: Advice) -> StepRecord:
    return StepRecord(name=name, engine=advice.engine, algorithm=advice.algorithm)
