"""How the cpu engine runs a step: decided here for plans and for runs alike, without any array."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from convserve import layers
from convserve.layers.fields import MAX_SPATIAL_RANK, Ints
from convserve.operations import ConvInputGradient, Convolve, ConvWeightGradient, Correlate
from convserve.tensors import dtype_of
from msgspec.structs import replace

from convserve_server.engines.cpu import workspace
from convserve_server.engines.cpu.crossover import fft_algorithm, fft_pays
from convserve_server.engines.cpu.footprint import arena_bytes, find_runs
from convserve_server.engines.cpu.windows import available_threads, is_pointwise
from convserve_server.engines.expansion import owner, steps_of
from convserve_server.engines.reference.advice import ReferenceAdvisor
from convserve_server.planning.axes import likeness
from convserve_server.planning.program import Advice, Advisor, OperationStep, Step, Survey

# What float32 holds exactly: ONNX Runtime gets float32, whatever small type came.
_FLOAT32_OPERANDS = {
    "bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16", "float32",
}  # fmt: skip
FFT_ALGORITHMS = ("fft", "overlap_save")
_FLOAT32_RESULTS = {"float16", "bfloat16", "float32"}
_CAVEATS = {
    "fft": "the memory of FFTs is estimated",
    "overlap_save": "the memory of FFTs is estimated",
}

# ONNX Runtime's transposed convolution makes the columns of a whole sample at once.
TRANSPOSED_COLUMN_BYTES = 32 << 20
# Above it an FFT's spectra would take more memory than a layer should beside its tensors.
FFT_LAYER_BYTES = 64 << 20


class CpuAdvisor(Advisor):
    """Says what the cpu engine does with a step, for plans and for the engine itself.

    `threads` are those of the engine. Imports no compute library.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or available_threads()

    def advise(self, step: Step | OperationStep, *, fft: bool = True) -> Advice:
        """The engine, algorithm, working memory and reason; without `fft`, for values it spoils."""
        parts = steps_of(step) if isinstance(step, Step) else ()
        if parts and parts != (step,):
            advice = join([self.advise(part, fft=fft) for part in parts])
            between = workspace.between_bytes(parts)
            return replace(advice, workspace_bytes=advice.workspace_bytes + between)
        advice = self._choose(step, fft)
        caveat = _CAVEATS.get(advice.algorithm)
        return replace(advice, caveat=caveat) if caveat else advice

    def survey(self, steps: Sequence[Step], outputs: Sequence[str]) -> Survey:
        """See `Advisor.survey`: neighbours that ONNX Runtime takes are one session."""
        advised = self._advise_all(steps)
        parts = [(step, part) for step in steps for part in steps_of(step)]
        runs = find_runs(
            [
                (part, advised[step.output.name] if part is step else self.advise(part))
                for step, part in parts
            ],
            outputs,
        )
        sessions = [run for run in runs if not run.is_alone]
        held, used = arena_bytes(sessions)
        extra = Counter[str]()
        for run in sessions:
            for step, advice in zip(run.steps, run.advices, strict=True):
                name = step.output.name
                extra[owner(name)] += run.scratch[name] - advice.workspace_bytes
        hosts = {name: host for run in sessions for name, host in run.hosts.items()}
        return Survey(
            tuple(_placed(advised[step.output.name], step, extra, hosts) for step in steps),
            resident_bytes=sum(run.resident_bytes for run in sessions),
            start_bytes=sum(run.start_bytes for run in sessions),
            spare_bytes=held - used,
        )

    def _advise_all(self, steps: Sequence[Step]) -> dict[str, Advice]:
        """The advice for each step alone, by its name."""
        models: dict[object, Advice] = {}  # most steps of a network are like an earlier one
        advised = {}
        for step in steps:
            specs = [(spec.dtype, spec.shape) for spec in (*step.inputs, *step.parameters)]
            key = (likeness(step.layer), *specs)
            if key not in models:
                models[key] = self.advise(step)
            advised[step.output.name] = models[key]
        return advised

    def _choose(self, step: Step | OperationStep, fft: bool) -> Advice:
        if isinstance(step, OperationStep):
            if isinstance(step.operation, ConvInputGradient | ConvWeightGradient):
                return self._choose_gradient(step, step.operation)
            return self._choose_signal(step, step.operation, fft)
        if fft and isinstance(step.layer, layers.Conv) and _is_signal(step, step.layer):
            kind = signal_dtype(step.output.dtype)
            return self._choose_fft(kind, step.inputs[0].shape[2:], step.layer.kernel_size)
        if isinstance(step.layer, layers.Unfold | layers.Fold):
            reason = "one strided copy per tap by NumPy, which is as fast as memory"
            return Advice("cpu", "numpy", workspace.fold_bytes(step), reason)
        if _runs_in_float32(step):
            return self._choose_float32(step)
        return self._choose_other(step)

    def _choose_float32(self, step: Step) -> Advice:
        layer, kind = step.layer, step.output.dtype
        if isinstance(layer, layers.ConvTranspose):
            return self._choose_float32_transpose(step, layer)
        if isinstance(layer, layers.Conv) and layer.padding_mode != "zeros":
            reason = f"ONNX Runtime in float32, on a copy with {layer.padding_mode} borders"
            return Advice("cpu", "onnxruntime", workspace.border_bytes(step, layer), reason)
        rounding = "" if kind == "float32" else f" copies, rounded once to {kind}"
        reason = f"ONNX Runtime in float32{rounding}"
        size = workspace.float32_bytes(step) + workspace.scratch_bytes(step)
        return Advice("cpu", "onnxruntime", size, reason)

    def _choose_float32_transpose(self, step: Step, layer: layers.ConvTranspose) -> Advice:
        columns = workspace.transposed_column_bytes(step, layer)
        if any(e >= s for e, s in zip(layer.output_padding, layer.stride, strict=True)):
            reason = f"ONNX Runtime takes no output_padding {layer.output_padding} above a stride"
        elif columns > TRANSPOSED_COLUMN_BYTES:
            reason = (
                f"ONNX Runtime would hold {columns} bytes of columns at once, above "
                f"{TRANSPOSED_COLUMN_BYTES}: BLAS takes them in blocks"
            )
        else:
            reason = "ONNX Runtime in float32, with the columns of one sample at a time"
            return Advice("cpu", "onnxruntime", columns, reason)
        columns = workspace.conv_transpose_bytes(step, layer, self._threads)
        return Advice("cpu", "im2col", columns, reason)

    def _choose_other(self, step: Step) -> Advice:
        layer, kind = step.layer, step.output.dtype
        reason = f"{kind}: ONNX Runtime's CPU has no such product, BLAS does"
        if dtype_of(kind).kind in "iub":
            reason = f"{kind}: BLAS, in the narrowest type that is exact for the values"
        if isinstance(layer, layers.Dense):
            return Advice("cpu", "matmul", workspace.dense_bytes(step), reason)
        if isinstance(layer, layers.ConvTranspose):
            columns = workspace.conv_transpose_bytes(step, layer, self._threads)
            return Advice("cpu", "im2col", columns, reason)
        if isinstance(layer, layers.Conv):
            if is_pointwise(layer) and _is_uniform(step):
                return Advice("cpu", "matmul", 0, f"{reason}; the input is its own matrix")
            columns = workspace.conv_bytes(step, layer, self._threads)
            return Advice("cpu", "im2col", columns, reason)
        if isinstance(layer, layers.IntegerConv | layers.QuantizedConv):
            size = workspace.quantized_bytes(step, layer, self._threads)
            return Advice("cpu", "im2col", size, "BLAS, in the narrowest type with exact sums")
        if isinstance(layer, layers.MaxPool | layers.AvgPool):
            reason = f"{kind}: one NumPy pass per axis and tap"
            return Advice("cpu", "numpy", workspace.pool_bytes(step), reason)
        size = ReferenceAdvisor().advise(step).workspace_bytes
        return Advice("reference", "numpy", size, f"{kind}: NumPy, as in the reference engine")

    def _choose_gradient(
        self, step: OperationStep, operation: ConvInputGradient | ConvWeightGradient
    ) -> Advice:
        reason = "ONNX Runtime's CPU has no gradients: BLAS computes them in blocks"
        columns = workspace.gradient_bytes(step, operation, self._threads)
        return Advice("cpu", "im2col", columns, reason)

    def _choose_signal(
        self, step: OperationStep, operation: Convolve | Correlate, fft: bool
    ) -> Advice:
        long, short = sorted((spec.shape for spec in step.operands), key=math.prod, reverse=True)
        kind = signal_dtype(step.output.dtype)
        floating = dtype_of(kind).kind in "fc"
        taps = f"{math.prod(short)} taps in {kind}"
        if operation.method == "fft" and kind != "bool":
            return self._choose_fft(kind if floating else "float64", long, short, asked=True)
        if operation.method == "auto" and fft and floating and fft_pays(kind, long, short):
            return self._choose_fft(kind, long, short)
        if len(long) > MAX_SPATIAL_RANK:
            return Advice("reference", "numpy", 0, f"rank {len(long)}: one NumPy pass per tap")
        if kind == "float32":
            return Advice("cpu", "onnxruntime", 0, f"{taps}: the direct sum")
        if len(long) == 1:
            return Advice("cpu", "direct", 0, f"{taps}: NumPy's direct sum")
        size = workspace.compute_bytes(step.output)
        depth = math.prod(short) * size
        columns = workspace.block_bytes((1, *step.output.shape), depth, self._threads)
        return Advice("cpu", "im2col", columns, f"{taps}: the direct sum, as a product by BLAS")

    def _choose_fft(self, dtype: str, long: Ints, short: Ints, *, asked: bool = False) -> Advice:
        reason = f"{math.prod(short)} taps in {dtype}: " + (
            "an FFT, as method='fft' asks"
            if asked
            else "above the measured crossover, so an FFT; the direct sum if a value is not finite"
        )
        algorithm = fft_algorithm(long, short)
        size = (
            workspace.overlap_bytes(dtype, long[0], short[0], self._threads)
            if algorithm == "overlap_save"
            else workspace.fft_bytes(dtype, long, short)
        )
        return Advice("cpu", algorithm, size, f"{reason}; memory is estimated")


def _placed(
    advice: Advice, step: Step, extra: Mapping[str, int], hosts: Mapping[str, str]
) -> Advice:
    """The advice for a step among others: what it copies for them, and who takes it along."""
    name = step.output.name
    host = owner(hosts.get(name, name))
    if host == name and not extra.get(name):
        return advice
    return replace(
        advice,
        workspace_bytes=advice.workspace_bytes + extra.get(name, 0),
        fused_into="" if host == name else host,
    )


def join(advices: Sequence[Advice]) -> Advice:
    """What is said of a layer that runs in several steps, one after the other.

    Its working memory is that of the step that needs the most.
    """
    if len(advices) == 1:
        return advices[0]
    engines = dict.fromkeys(advice.engine for advice in advices)
    return Advice(
        engine="cpu" if "cpu" in engines else next(iter(engines)),
        algorithm="+".join(dict.fromkeys(advice.algorithm for advice in advices)),
        workspace_bytes=max(advice.workspace_bytes for advice in advices),
        reason="; then ".join(dict.fromkeys(advice.reason for advice in advices)),
        caveat=next((advice.caveat for advice in advices if advice.caveat), ""),
    )


def signal_dtype(dtype: str) -> str:
    """In which type a signal operation computes: half types in float32."""
    return "float32" if dtype in _FLOAT32_RESULTS else dtype


def _runs_in_float32(step: Step) -> bool:
    """Whether float32 holds the operands exactly and the result is rounded from it."""
    operands = {spec.dtype for spec in (*step.inputs, *step.parameters)}
    return step.output.dtype in _FLOAT32_RESULTS and operands <= _FLOAT32_OPERANDS


def _is_uniform(step: Step) -> bool:
    """Whether all tensors have one floating type, so that BLAS takes them as they are."""
    types = {spec.dtype for spec in (*step.inputs, *step.parameters, step.output)}
    return len(types) == 1 and dtype_of(step.output.dtype).kind in "fc"


def _is_signal(step: Step, layer: layers.Conv) -> bool:
    """Whether the layer convolves one channel with one kernel so long that an FFT pays."""
    x, kind = step.inputs[0], signal_dtype(step.output.dtype)
    ones = (*layer.stride, *layer.dilation, layer.out_channels, x.shape[1])
    return (
        all(number == 1 for number in ones)
        and layer.padding_mode == "zeros"
        and dtype_of(kind).kind in "fc"
        and math.prod(x.shape[1:]) * dtype_of(kind).itemsize <= FFT_LAYER_BYTES
        and fft_pays(kind, x.shape[2:], layer.kernel_size)
    )
