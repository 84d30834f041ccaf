"""What planning answers: frozen values, the same on both sides of the wire."""

from __future__ import annotations

from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING

from attrs import frozen

from convserve.errors import FailedPreconditionError
from convserve.layers import Layer
from convserve.tensors import SYMBOLIC_BATCH, Shape, TensorSpec

if TYPE_CHECKING:  # these read plans
    from matplotlib.figure import Figure as Picture

    from convserve.comparison import PlanComparison


def shown_shape(shape: Shape) -> tuple[int | str, ...]:
    """The shape with "N" for a batch that is not known yet."""
    return tuple("N" if size == SYMBOLIC_BATCH else size for size in shape)


@frozen(cache_hash=True)
class ReceptiveField:
    """What part of the network's input one output element sees, per spatial axis.

    Along one axis, output o sees the input elements from start + o * jump on, at most `size` of
    them. After upsampling, jump may be a fraction, and outputs begin at whole steps of the grid
    that was upsampled: start is exact for output 0, and start + o * jump holds on average.
    jump = 0: every output sees all of them, as after a global pool or Flatten.
    """

    size: tuple[int, ...]
    jump: tuple[Fraction, ...]
    start: tuple[Fraction, ...]
    start_varies: tuple[bool, ...] = ()
    aligned: bool = True


@frozen(kw_only=True)
class Count:
    """One way in which tools count the operations of a layer, and which do."""

    convention: str
    value: int
    meaning: str
    tools: tuple[str, ...] = ()


@frozen(kw_only=True)
class TimeEstimate:
    """How long something takes by the device's roofline, in seconds. Not measured.

    `seconds_low` is the bound of the peak rates, `seconds_high` what a plain implementation is
    likely to stay below. `bound` is what limits it: compute, memory, transfer or launch.
    """

    seconds: float
    seconds_low: float
    seconds_high: float
    bound: str


@frozen(kw_only=True)
class Quantization:
    """A matrix product cut into tiles that run in waves over a GPU's multiprocessors."""

    gemm_m: int
    gemm_n: int
    gemm_k: int
    tile_m: int
    tile_n: int
    tile_count: int
    multiprocessor_count: int
    wave_count: int
    efficiency: float


@frozen(kw_only=True)
class Kernel:
    """One way in which a vendor's library would compute a layer on a GPU.

    `direction` is forward, input_gradient or weight_gradient; `rank` its place in the library's own
    ranking; `rejected_because` says why one that was not chosen was not.
    """

    direction: str
    name: str
    workspace_bytes: int
    notes: tuple[str, ...] = ()
    rank: int = 0
    chosen: bool = False
    rejected_because: str = ""


@frozen(kw_only=True)
class MemoryMoment:
    """The memory in use during one step: its parts, which add up to what is alive then."""

    layer: str
    phase: str = "forward"
    weight_bytes: int = 0
    activation_bytes: int = 0
    gradient_bytes: int = 0
    optimizer_bytes: int = 0
    workspace_bytes: int = 0

    @property
    def byte_count(self) -> int:
        """All of them."""
        return (
            self.weight_bytes
            + self.activation_bytes
            + self.gradient_bytes
            + self.optimizer_bytes
            + self.workspace_bytes
        )


@frozen(kw_only=True)
class Fit:
    """Whether a plan fits a device, and the largest batch that does where it was asked for."""

    device: str
    memory_bytes: int
    needed_bytes: int
    fits: bool
    max_batch: int | None = None
    peak_layer: str = ""
    reason: str = ""


@frozen(kw_only=True)
class LayerPlan:
    """What one layer does, needs and costs. Counts and bytes are exact integers.

    `parameter_count` is of trained weights only; the statistics of BatchNorm are in `weight_bytes`
    alone. With a symbolic batch, counts and `activation_bytes` are per sample.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: TensorSpec
    resolved: Layer
    parameters: tuple[TensorSpec, ...] = ()
    parameter_count: int = 0
    mac_count: int = 0
    flop_count: int = 0
    activation_bytes: int = 0
    weight_bytes: int = 0
    workspace_bytes: int = 0
    receptive_field: ReceptiveField | None = None
    engine: str = ""
    algorithm: str = ""
    algorithm_reason: str = ""
    explanation: tuple[str, ...] = ()
    counts: tuple[Count, ...] = ()
    time: TimeEstimate | None = None
    quantization: Quantization | None = None
    kernels: tuple[Kernel, ...] = ()
    fused_into: str = ""

    @property
    def output_shape(self) -> tuple[int | str, ...]:
        """The result's shape; "N" is a batch that is not known yet."""
        return shown_shape(self.output.shape)


@frozen(kw_only=True)
class Plan:
    """Shapes, counts and memory of a network. `print(plan)` shows the table.

    With a symbolic batch, counts are per sample, and the peak is for one sample: its fixed part
    plus N times the part per sample.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[LayerPlan, ...]
    parameter_count: int = 0
    mac_count: int = 0
    flop_count: int = 0
    weight_bytes: int = 0
    peak_memory_bytes: int = 0
    peak_memory_fixed_bytes: int = 0
    peak_memory_per_sample_bytes: int = 0
    peak_layer: str = ""
    receptive_field: ReceptiveField | None = None
    device: str = ""
    symbolic_batch: bool = False
    notes: tuple[str, ...] = ()
    timeline: tuple[MemoryMoment, ...] = ()
    training: bool = False
    optimizer: str = ""
    fit: Fit | None = None
    time: TimeEstimate | None = None
    engine_bytes: int = 0

    @property
    def output_shape(self) -> tuple[int | str, ...]:
        """The (first) result's shape; "N" is a batch that is not known yet."""
        return shown_shape(self.outputs[0].shape)

    def layer(self, name: str) -> LayerPlan:
        """The plan of the layer called `name`. Raises KeyError."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def explain(self, name: str) -> str:
        """The layer called `name` in words: its formulas with their numbers, and its counts.

        Raises KeyError for a name that is not there, and FailedPreconditionError if the plan was
        made without explanations.
        """
        from convserve.explaining import layer_text  # it reads plans: not at import

        layer = self.layer(name)
        if not layer.explanation:
            raise FailedPreconditionError(
                f"{name} was planned without its explanation; plan with explain=True"
            )
        return layer_text(layer)

    def compare(self, other: Plan) -> PlanComparison:
        """What changes from the other plan to this one: print it."""
        from convserve.comparison import compare_plans

        return compare_plans(other, self)

    def plot(
        self,
        path: str | PathLike[str] | None = None,
        *,
        views: tuple[str, ...] = ("memory", "shapes", "fields"),
    ) -> Picture:
        """Draw the memory step by step, the shapes, and the receptive field's growth.

        The result is a `matplotlib.figure.Figure`; `path` is a file to write it to: .svg, .png or
        .pdf. `views` are those to draw. Needs Matplotlib, the extra `plots`; raises
        UnsupportedError without it.
        """
        from convserve.pictures import draw_plan

        return draw_plan(self, path, views=views)

    def to_json(self, indent: int | None = None) -> str:
        """Everything that is planned as one JSON object; "N" is a batch that is not known yet."""
        from convserve.exports import plan_json

        return plan_json(self, indent)

    def to_csv(self) -> str:
        """The layers, a line each, with exact numbers."""
        from convserve.exports import plan_csv

        return plan_csv(self)

    def to_markdown(self) -> str:
        """The table that `print` shows, in Markdown."""
        from convserve.exports import plan_markdown

        return plan_markdown(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from convserve.exports import plan_html

        return plan_html(self)

    def __str__(self) -> str:
        from convserve.tables import plan_table  # the table reads plans: not at import

        return plan_table(self)
