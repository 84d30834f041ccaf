"""From a network, or an operation, to its plan or to the program that an engine runs."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from convserve.errors import ShapeError
from convserve.layers import kind_of
from convserve.networks import Network
from convserve.plans import LayerPlan, Plan, TimeEstimate
from convserve.tensors import SYMBOLIC_BATCH, TensorSpec

from convserve_server.planning.counting import count_operations
from convserve_server.planning.devices import DeviceProfile
from convserve_server.planning.explanation import explain as explain_node
from convserve_server.planning.graph import Node, steps_of, walk
from convserve_server.planning.inputs import CHANNELS_LAST, channels_last, name_inputs, read_inputs
from convserve_server.planning.limits import check_counts
from convserve_server.planning.needs import Needs, add_device, add_memory
from convserve_server.planning.operations import plan_operation
from convserve_server.planning.program import Advice, Advisor, Program
from convserve_server.planning.receptive_field import as_receptive_field
from convserve_server.planning.sight import Sight, look
from convserve_server.planning.training import check_optimizer
from convserve_server.planning.weights import check_names, check_weight_names, weight_names

__all__ = ["check_weight_names", "compile_network", "plan_network", "plan_operation"]


@frozen
class _View:
    """How the plan is shown: `batch` may be -1, `count` is the samples that the counts are for."""

    batch: int
    count: int
    layout: str
    explain: bool

    def output(self, spec: TensorSpec) -> TensorSpec:
        """A layer's result for `count` samples, with the batch and in the layout to show."""
        if self.batch != self.count:
            spec = TensorSpec(spec.name, spec.dtype, (self.batch, *spec.shape[1:]))
        return channels_last(spec) if self.layout == CHANNELS_LAST else spec


def plan_network(
    network: Network,
    inputs: Sequence[TensorSpec],
    *,
    advisor: Advisor,
    device: str = "cpu",
    profile: DeviceProfile | None = None,
    layout: str = "channels_first",
    explain: bool = False,
    training: bool = False,
    optimizer: str = "",
    precision: str = "strict",
    max_batch: bool = False,
) -> Plan:
    """What the network needs for such inputs. Allocates nothing and looks at no value.

    The first axis of the inputs is the batch: -1 where it is not known yet, and then all counts
    are per sample. Weights take the element type of their layer's input. `layout` concerns the
    shapes of `inputs` and those of the results in the plan. With a `profile`, whether it fits the
    device, the largest batch that does (`max_batch`), and times. `training` plans one step of it
    with an `optimizer` of `training.OPTIMIZERS`.

    Raises InvalidNetworkError, InvalidLayerError, ShapeError, DTypeError, TooLargeError,
    InvalidArgumentError.
    """
    optimizer = check_optimizer(optimizer) if training else ""
    specs = name_inputs(network, inputs)
    given = read_inputs(specs, layout, "inputs")
    count = 1 if given.batch == SYMBOLIC_BATCH else given.batch
    view = _View(given.batch, count, layout, explain)
    nodes = walk(network, given.samples, count)
    sights = look(nodes, given.samples)
    needs = Needs(nodes, given.samples, network.outputs, advisor, optimizer, count)
    times = needs.times(profile, precision)
    outputs = [view.output(step.output) for step in needs.steps]
    layers = tuple(
        _layer_plan(node, output, advice, sight, times.get(output.name), view)
        for node, output, advice, sight in zip(
            nodes, outputs, needs.survey.advices, sights, strict=True
        )
    )
    remarks = (*(sight.note for sight in sights), *needs.notes)
    notes = tuple(dict.fromkeys(filter(None, remarks)))
    plan = add_memory(_total(network, specs, layers, device, notes), needs)
    if profile is None:
        return plan
    return add_device(plan, needs, profile, precision, max_batch=max_batch)


def compile_network(
    network: Network, tensors: Sequence[TensorSpec], *, layout: str = "channels_first"
) -> Program:
    """The steps that compute the network on such tensors: its inputs and weights, by name.

    `layout` concerns the shapes of the inputs; the program is channels first.

    Raises InvalidNetworkError for tensors that are missing, extra or given twice, ShapeError for a
    weight of another shape or an unknown batch, and what `plan_network` raises.
    """
    check_names((*network.inputs, *weight_names(network)), tensors, "tensors")
    by_name = {spec.name: spec for spec in tensors}
    specs = [by_name[name] for name in network.inputs]
    _check_batch(specs)
    given = read_inputs(specs, layout, "tensors")
    nodes = walk(network, given.samples, given.batch, by_name)
    return Program(
        inputs=tuple(sample.spec(given.batch) for sample in given.samples.values()),
        steps=steps_of(nodes, given.batch),
        outputs=network.outputs,
    )


def _check_batch(specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        if spec.is_symbolic:
            raise ShapeError(
                f"the batch is {spec.shape[0]}, which is unknown; a run needs its size, 0 or more",
                field=f"tensors[{spec.name!r}].shape[0]",
                metadata={"value": spec.shape[0], "limit": 0},
            )


def _layer_plan(
    node: Node,
    output: TensorSpec,
    advice: Advice,
    sight: Sight,
    time: TimeEstimate | None,
    view: _View,
) -> LayerPlan:
    return LayerPlan(
        name=output.name,
        kind=kind_of(node.layer),
        inputs=node.layer.inputs or (),
        output=output,
        resolved=node.layer,
        parameters=node.parameters,
        parameter_count=node.parameter_count,
        mac_count=view.count * node.mac_count,
        flop_count=view.count * node.flop_count,
        activation_bytes=view.count * node.output.byte_count,
        weight_bytes=node.weight_bytes,
        workspace_bytes=advice.workspace_bytes,
        receptive_field=as_receptive_field(sight.after),
        engine=advice.engine,
        algorithm=advice.algorithm,
        algorithm_reason=advice.reason,
        explanation=_explain(node, advice, sight, view) if view.explain else (),
        counts=count_operations(node, view.count) if view.explain else (),
        time=time,
        quantization=advice.quantization,
        kernels=advice.kernels,
        fused_into=advice.fused_into,
    )


def _explain(node: Node, advice: Advice, sight: Sight, view: _View) -> tuple[str, ...]:
    return (*explain_node(node, sight, view.count), *advice.remarks)


def _total(
    network: Network,
    inputs: tuple[TensorSpec, ...],
    layers: tuple[LayerPlan, ...],
    device: str,
    notes: tuple[str, ...],
) -> Plan:
    by_name = {layer.name: layer for layer in layers}
    flop_count = sum(layer.flop_count for layer in layers)
    check_counts("FLOPs of all layers", flop_count)
    return Plan(
        inputs=inputs,
        outputs=tuple(by_name[name].output for name in network.outputs),
        layers=layers,
        parameter_count=sum(layer.parameter_count for layer in layers),
        mac_count=sum(layer.mac_count for layer in layers),
        flop_count=flop_count,
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        receptive_field=by_name[network.outputs[0]].receptive_field,
        device=device,
        symbolic_batch=inputs[0].is_symbolic,
        notes=notes,
    )
