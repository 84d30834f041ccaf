"""How long layers take, by the roofline of a device: Williams, Waterman and Patterson, "Roofline",
Communications of the ACM 52 (4), 2009.

A layer takes the longest of its arithmetic at the device's rate and its traffic (each input, weight
and result once) at its bandwidth, and one launch. Peaks are never reached: what share of them is
likely, and what even a plain implementation should reach, is in `devices/_gpu.json` for GPUs
and in `devices/_cpu.json`, as measured, for CPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import frozen
from convserve.layers import Conv, DepthwiseConv
from convserve.plans import TimeEstimate

from convserve_server.planning.devices import DeviceProfile, efficiency
from convserve_server.planning.graph import Node
from convserve_server.planning.program import Advice

# Backward computes two gradients, each as much as forward (assumed for all layers).
TRAINING_FACTOR = 3
_RATES = {
    "float64": "fp64_rate",
    "float32": "fp32_rate",
    "float16": "fp16_rate",
    "bfloat16": "bf16_rate",
    "int8": "int8_rate",
    "uint8": "int8_rate",
}
_FLOAT32_RATES = {"tf32": "tf32_rate", "bfloat16": "bf16_rate", "float16": "fp16_rate"}


class Cost(msgspec.Struct, frozen=True):
    """Floating-point operations and bytes of something, and which efficiencies it has."""

    kind: str
    flop_count: int
    byte_count: int


@frozen
class Roofline:
    """A device as it computes in one element type: FLOP/s, byte/s, and what share is reached."""

    rate: float
    bandwidth: float
    transfer_rate: float | None
    efficiency: Any

    def layer(self, cost: Cost) -> TimeEstimate:
        """How long a layer takes."""
        compute, memory = cost.flop_count / self.rate, cost.byte_count / self.bandwidth
        reached, launch = self.efficiency[cost.kind], self.efficiency["launch_seconds"]
        parts = {
            "compute": compute / reached["estimate"],
            "memory": memory / reached["estimate"],
            "launch": launch["estimate"],
        }
        slow = max(compute, memory) / reached["least"]
        return TimeEstimate(
            seconds=max(parts["compute"], parts["memory"]) + parts["launch"],
            seconds_low=max(compute, memory),
            seconds_high=slow + launch["most"],
            bound=max(parts, key=parts.__getitem__),
        )

    def total(self, layers: Sequence[TimeEstimate], moved_bytes: int, factor: int) -> TimeEstimate:
        """All layers one after the other, `factor` times, and inputs and results moved."""
        moving = moved_bytes / self.transfer_rate if self.transfer_rate else 0.0
        reached = self.efficiency["transfer"]
        seconds = {"transfer": moving / reached["estimate"]}
        for each in layers:
            seconds[each.bound] = seconds.get(each.bound, 0.0) + factor * each.seconds
        low = factor * sum(each.seconds_low for each in layers)
        high = factor * sum(each.seconds_high for each in layers)
        return TimeEstimate(
            seconds=sum(seconds.values()),
            seconds_low=max(low, moving),  # they may overlap
            seconds_high=high + moving / reached["least"],
            bound=max(seconds, key=seconds.__getitem__),
        )


def roofline(profile: DeviceProfile, dtype: str, precision: str) -> Roofline | None:
    """The device for networks of `dtype`, at least as exact as `precision`; None if not known."""
    name = _RATES.get(dtype, "")
    if dtype == "float32":
        name = _FLOAT32_RATES.get(precision, name)
    rate = profile.value(name) or profile.value(_RATES.get(dtype, ""))
    bandwidth = profile.value("memory_bandwidth")
    if rate is None or bandwidth is None:
        return None
    return Roofline(rate, bandwidth, profile.value("transfer_rate"), efficiency()[profile.kind])


def layer_costs(nodes: Sequence[Node], advices: Sequence[Advice], batch: int) -> dict[str, Cost]:
    """The cost of each step that is not taken along by another one, by its layer's name."""
    costs: dict[str, Cost] = {}
    for node, advice in zip(nodes, advices, strict=True):
        host = costs.get(advice.fused_into)
        if host is None:
            costs[node.output.name] = cost_of(node, batch)
        else:
            flops = host.flop_count + batch * node.flop_count
            size = host.byte_count + node.weight_bytes
            costs[advice.fused_into] = Cost(host.kind, flops, size)
    return costs


def cost_of(node: Node, batch: int) -> Cost:
    """What a layer costs alone."""
    moved = sum(sample.byte_count for sample in node.inputs) + node.output.byte_count
    return Cost(_kind(node), batch * node.flop_count, batch * moved + node.weight_bytes)


def _kind(node: Node) -> str:
    if not node.mac_count:
        return "elementwise"
    layer = node.layer
    grouped = isinstance(layer, Conv) and 1 < layer.groups == node.inputs[0].shape[0]
    return "depthwise" if grouped or isinstance(layer, DepthwiseConv) else "convolution"
