"""Plans, devices and servers as people read them: plain text, aligned, without colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from attrs import frozen

from convserve.layers import Layer
from convserve.plans import Fit, LayerPlan, Plan, ReceptiveField, TimeEstimate, shown_shape
from convserve.servers import Device, ServerInfo
from convserve.tensors import TensorSpec

MAX_CELL_CHARS = 30  # so that a table of the longest names still fits 140 columns
_GAP = "  "
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COUNT_UNITS = ("", "k", "M", "G", "T", "P", "E")


@frozen
class Column:
    """A column: its heading, its cells, and whether they are numbers, which end in line."""

    heading: str
    cells: tuple[str, ...]
    is_number: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no cell says anything."""
        return not any(self.cells)

    def lines(self) -> list[str]:
        """The heading and the cells, all of one width."""
        align = str.rjust if self.is_number else str.ljust
        cells = (self.heading, *self.cells)
        width = max(map(len, cells))
        return [align(cell, width) for cell in cells]


def plan_table(plan: Plan) -> str:
    """The plan as a table of its layers, with the exact totals below."""
    return f"{table_text(plan_columns(plan))}\n{_pairs(plan_totals(plan))}"


def devices_table(devices: Sequence[Device]) -> str:
    """The devices, the default first."""
    columns = (
        Column("Device", tuple(device.name for device in devices)),
        Column("Engine", tuple(device.engine for device in devices)),
        Column("Memory", tuple(byte_text(device.memory_bytes) for device in devices), True),
        Column("Threads", tuple(str(device.thread_count or "") for device in devices), True),
        Column("Runs here", tuple("yes" if device.available else "no" for device in devices)),
        Column("Description", tuple(device.description for device in devices)),
    )
    return table_text([column for column in columns if not column.is_empty])


def info_text(info: ServerInfo) -> str:
    """A server's version, engines, limits and devices."""
    limits = info.limits
    pairs = [
        ("Version", info.version),
        ("Engines", ", ".join(info.engines)),
        ("Libraries", ", ".join(f"{each.name} {each.version}" for each in info.libraries)),
        ("Tensor pool", _exact_bytes(limits.tensor_pool_bytes)),
        ("Worker memory", _exact_bytes(limits.worker_memory_bytes)),
        ("Largest inline call", _exact_bytes(limits.max_inline_bytes)),
        ("Largest header", _exact_bytes(limits.max_request_bytes)),
        ("Largest message", _exact_bytes(limits.max_message_bytes)),
        ("Chunks", _exact_bytes(limits.chunk_bytes)),
        ("Axes of a tensor", f"up to {limits.max_rank}"),
        ("Layers of a network", f"up to {limits.max_layers:,}"),
        ("Tensors of a call", f"up to {limits.max_tensors:,}"),
        ("Inputs of a layer", f"up to {limits.max_inputs:,}"),
        ("Longest call", f"{limits.max_call_seconds:g} s"),
    ]
    return f"{_pairs(pairs)}\n\n{devices_table(info.devices)}"


def byte_text(count: int) -> str:
    """Bytes in units of 1024 with three digits: 588 KiB, 1.17 GiB."""
    return _scaled(count, 1024, _BYTE_UNITS)


def count_text(count: int) -> str:
    """A count in units of 1000 with three digits: 96, 70.3 M, 4.09 G."""
    return _scaled(count, 1000, _COUNT_UNITS)


def _scaled(count: int, step: int, units: Sequence[str]) -> str:
    scale, unit = 1, 0
    while count >= step * scale and unit < len(units) - 1:
        scale, unit = scale * step, unit + 1
    number = count / scale
    digits = 0 if unit == 0 or number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f} {units[unit]}".rstrip()


def plan_columns(plan: Plan) -> list[Column]:
    """The plan's inputs and layers, a line each; columns that say nothing are left out."""
    layers = plan.layers
    inputs = plan.inputs
    blank = ("",) * len(inputs)
    previous = (inputs[-1].name, *(layer.name for layer in layers))
    reads = (_reads(layer, before) for layer, before in zip(layers, previous, strict=False))

    def column(heading: str, of_layers: Iterable[str], is_number: bool = False) -> Column:
        return Column(heading, (*blank, *of_layers), is_number)

    shapes = (*(spec.shape for spec in inputs), *(layer.output.shape for layer in layers))
    sizes = (*map(_sample_bytes, inputs), *(layer.activation_bytes for layer in layers))
    names = (*(spec.name for spec in inputs), *(layer.name for layer in layers))
    memory = "Memory (N = 1)" if plan.symbolic_batch else "Memory"
    columns = [
        Column("Layer", tuple(map(_cut, names))),
        Column("Kind", (*("input" for _ in inputs), *map(kind_text, layers))),
        column("Reads", reads),
        Column("Output shape", tuple(map(shape_text, shapes))),
        column("Parameters", (_number(layer.parameter_count) for layer in layers), True),
        column("MACs", (_optional_count(layer.mac_count) for layer in layers), True),
        column("Receptive field", (_field_text(layer.receptive_field) for layer in layers), True),
        Column(memory, tuple(map(byte_text, sizes)), True),
        column("Algorithm", map(_algorithm_text, layers)),
    ]
    return [each for each in columns if not each.is_empty]


def plan_totals(plan: Plan) -> list[tuple[str, str]]:
    """What there is to say of the plan as a whole: names and values."""
    per_sample = " per sample" if plan.symbolic_batch else ""
    pairs = [
        ("Parameters", f"{plan.parameter_count:,}"),
        ("MACs", _exact_count(plan.mac_count) + per_sample),
        ("FLOPs", _exact_count(plan.flop_count) + per_sample),
        ("Weights", _exact_bytes(plan.weight_bytes)),
        ("Peak memory", _peak_text(plan)),
        *_demands(plan),
        *(("Input", _spec_text(spec)) for spec in plan.inputs),
        *(("Output", _spec_text(spec)) for spec in plan.outputs),
    ]
    if plan.receptive_field is not None:
        pairs.append(("Receptive field", _long_field_text(plan.receptive_field)))
    if plan.device:
        pairs.append(("Device", plan.device))
    return pairs + [("Note", note) for note in plan.notes]


def _demands(plan: Plan) -> list[tuple[str, str]]:
    """What it asks of the device: a step of training, room, time."""
    pairs = []
    if plan.training:
        pairs.append(("Training", f"forward, backward and update by {plan.optimizer}"))
    if plan.engine_bytes:
        pairs.append(("Engine", f"{_exact_bytes(plan.engine_bytes)} beside the peak, at most"))
    one = " for N = 1" if plan.symbolic_batch else ""
    if plan.fit:
        pairs.append(("Fit", fit_text(plan.fit) + ("" if plan.fit.max_batch is not None else one)))
    if plan.time:
        pairs.append(("Time", time_text(plan.time) + one))
    return pairs


def fit_text(fit: Fit) -> str:
    """Whether it fits, or up to which batch and why: `fits l4 up to batch 41, peak at ...`."""
    if fit.max_batch is None:
        need = f"{byte_text(fit.needed_bytes)} of {byte_text(fit.memory_bytes)}"
        return f"fits {fit.device} with {need}" if fit.fits else f"does not fit: {fit.reason}"
    if not fit.max_batch:
        return f"not even one sample fits {fit.device}, because {fit.reason}"
    where = f"peak at layer {fit.peak_layer}"
    return f"fits {fit.device} up to batch {fit.max_batch:,}, {where}, because {fit.reason}"


def time_text(time: TimeEstimate) -> str:
    """The estimate, its range, and what limits it."""
    low, high = _seconds_text(time.seconds_low), _seconds_text(time.seconds_high)
    return f"about {_seconds_text(time.seconds)} ({low} to {high}), bound by {time.bound}"


def _seconds_text(seconds: float) -> str:
    scale = next((n for n in range(3) if seconds * 1000**n >= 1), 3)
    return f"{seconds * 1000**scale:.3g} {('s', 'ms', 'µs', 'ns')[scale]}"


def _peak_text(plan: Plan) -> str:
    phase = next((m.phase for m in plan.timeline if m.byte_count == plan.peak_memory_bytes), "")
    during = f" ({phase})" if phase not in ("", "forward") else ""
    where = f", at {plan.peak_layer}{during}" if plan.peak_layer else ""
    if not plan.symbolic_batch:
        return _exact_bytes(plan.peak_memory_bytes) + where
    return (
        f"{plan.peak_memory_fixed_bytes:,} + N × {plan.peak_memory_per_sample_bytes:,} bytes "
        f"({byte_text(plan.peak_memory_bytes)} for N = 1){where}"
    )


def _algorithm_text(layer: LayerPlan) -> str:
    """How it runs: by itself, or within the step of another layer."""
    return _cut(f"in {layer.fused_into}" if layer.fused_into else layer.algorithm)


def _reads(layer: LayerPlan, previous: str) -> str:
    """What it reads, "↑" being the line above; nothing where that is all."""
    if layer.inputs == (previous,):
        return ""
    return _cut(", ".join("↑" if name == previous else name for name in layer.inputs))


def kind_text(layer: LayerPlan) -> str:
    """The kind with its window: `conv 3×3 /2 dil 2 grp 32`. What is 1 is left out."""
    words = [layer.kind, _times(_ints(layer.resolved, "kernel_size"))]
    for prefix, field in (("/", "stride"), ("dil ", "dilation"), ("grp ", "groups")):
        values = _ints(layer.resolved, field)
        if set(values) - {1}:
            words.append(prefix + _times(values[:1] if len(set(values)) == 1 else values))
    return " ".join(word for word in words if word)


def _ints(layer: Layer, field: str) -> tuple[int, ...]:
    value = getattr(layer, field, None) or ()
    return (value,) if isinstance(value, int) else tuple(value)


def _field_text(receptive_field: ReceptiveField | None) -> str:
    return "" if receptive_field is None else _times(receptive_field.size)


def _long_field_text(receptive_field: ReceptiveField) -> str:
    text = f"{_times(receptive_field.size)}, from {_times(receptive_field.start)}"
    if any(receptive_field.start_varies):
        text += " for this input size (the start depends on it)"
    if not any(receptive_field.jump):  # one output sees it all
        return text
    return f"{text} in steps of {_times(receptive_field.jump)}"


def _times(values: Sequence[int | Fraction]) -> str:
    return "×".join(map(str, values))


def shape_text(shape: Sequence[int]) -> str:
    """The shape in brackets, with N for a batch that is not known."""
    return f"({', '.join(map(str, shown_shape(tuple(shape))))})"


def _spec_text(spec: TensorSpec) -> str:
    per_sample = " per sample" if spec.is_symbolic else ""
    size = _exact_bytes(_sample_bytes(spec)) + per_sample
    return f"{spec.name} {shape_text(spec.shape)} {spec.dtype}, {size}"


def _sample_bytes(spec: TensorSpec) -> int:
    return -spec.byte_count if spec.is_symbolic else spec.byte_count  # N is -1


def _exact_bytes(count: int) -> str:
    exact = f"{count:,} bytes"
    return exact if count < 1024 else f"{exact} ({byte_text(count)})"


def _exact_count(count: int) -> str:
    return f"{count:,}" if count < 1000 else f"{count:,} ({count_text(count)})"


def _number(count: int) -> str:
    return f"{count:,}" if count else ""


def _optional_count(count: int) -> str:
    return count_text(count) if count else ""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARS else f"{text[: MAX_CELL_CHARS - 1]}…"


def table_text(columns: Sequence[Column]) -> str:
    """The columns side by side, with rules around the cells."""
    heading, *rows = (
        _GAP.join(cells).rstrip()
        for cells in zip(*(column.lines() for column in columns), strict=True)
    )
    rule = "─" * max(map(len, (heading, *rows)))
    return "\n".join((heading, rule, *rows, rule))


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    pairs = tuple(pairs)
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in pairs)
