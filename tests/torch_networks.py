"""Networks of torch modules, and torchvision, where the tests have published ones from."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from convserve.plans import Plan
from convserve.tensors import Array, empty, spec_of
from convserve_client import TorchNetwork
from convserve_server.engines import load_engine
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs

from tests.planning import plan

_DETECTION_OPERATORS = ("nms", "qnms")
_WITH_AUXILIARY_HEAD = ("deeplabv3", "fcn")
_SEGMENTATION = (*_WITH_AUXILIARY_HEAD, "lraspp")
_SLOW_WEIGHTS = ("googlenet", "inception_v3")  # they warn that their default will change


@cache
def torchvision() -> ModuleType:
    """The package. With a torch for CPUs alone, its library for detection does not load.

    Its Python then misses two operators that no classifier needs.
    """
    try:
        return import_module("torchvision")
    except RuntimeError:
        for name in _DETECTION_OPERATORS:
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", signature)
        return import_module("torchvision")


def build(name: str) -> torch.nn.Module:
    """torchvision's model as its published numbers are of, in eval mode. Downloads nothing."""
    options: dict[str, Any] = {"weights": None}
    if name in _SLOW_WEIGHTS:
        options["init_weights"] = False
    if name.startswith(_SEGMENTATION):
        options["weights_backbone"] = None
    if name.startswith(_WITH_AUXILIARY_HEAD):
        options["aux_loss"] = True
    module: torch.nn.Module = torchvision().models.get_model(name, **options)
    return module.eval()


def plan_own(network: TorchNetwork) -> Plan:
    """The network's plan for the shapes that it was traced with."""
    return plan(network, *(spec.shape for spec in network.input_specs))


def run_own(network: TorchNetwork, *inputs: Array, engine: str = "cpu") -> dict[str, Array]:
    """What an engine computes of the network with its own weights, by layer."""
    tensors = dict(zip(network.inputs, inputs, strict=True)) | dict(network.weights)
    program = compile_network(network, [spec_of(name, each) for name, each in tensors.items()])
    outputs = {spec.name: empty(spec) for spec in work_outputs(program)}
    load_engine(engine).run(program, tensors, outputs)
    return outputs


def enliven(module: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """The module in eval mode with weights and statistics by which every layer tells on the result.

    As they are made, many networks give the same for all inputs: factors of 1e-6, biases of 0, and
    statistics that let what they normalise fade away.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in module.parameters():
            if values.abs().max() < 1e-3:
                values.uniform_(-0.5, 0.5, generator=generator)
            elif values.dim() == 1:
                values.mul_(torch.empty_like(values).uniform_(0.8, 1.2, generator=generator))
        norms: Any = (each for each in module.modules() if hasattr(each, "running_mean"))
        for norm in norms:
            norm.momentum = 1.0
        module.train()(x.clone())
    return module.eval()
