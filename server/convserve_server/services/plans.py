"""Plans as bytes: small ones are made by the front, large ones by a planner process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import msgspec
from attrs import evolve, frozen
from convserve.codec import from_message, to_fields
from convserve.errors import InvalidArgumentError
from convserve.networks import Network
from convserve.plans import Plan
from convserve.runs import RunOptions
from convserve.services import serialize
from convserve.tensors import TensorSpec
from convserve.v1 import plan_pb2
from convserve.v1.planning_service_pb2 import PlanRequest, PlanResponse

from convserve_server.engines import load_advisor
from convserve_server.planning.devices import (
    GPU,
    DeviceProfile,
    gpu_profile,
    host_profile,
    profiles,
)
from convserve_server.planning.devices.properties import device_properties, property_devices
from convserve_server.planning.gpu import Answers, GpuAdvisor, wanted_of
from convserve_server.planning.kernels import Convolution, Offer, Policy
from convserve_server.planning.planner import plan_network
from convserve_server.planning.program import Advisor
from convserve_server.services.headers import read_inputs, read_network

WORKSPACE_SHARE = 8  # a kernel's workspace may take this part of a GPU's memory at most


class Host(msgspec.Struct, frozen=True):
    """What plans depend on beside the request: the server's own device, and what computes there.

    `memory_bytes` are those that tensors may take. `gpu` is what its driver calls it, of a GPU.
    """

    device: str
    engine: str
    threads: int
    memory_bytes: int
    gpu: str = ""


class PlanTask(msgspec.Struct, frozen=True):
    """A serialised PlanRequest for a planner process, with what cuDNN said beforehand, if asked."""

    host: Host
    request: bytes
    answers: tuple[tuple[Convolution, Offer | str], ...] | None = None


_encoder = msgspec.msgpack.Encoder()
_task_decoder = msgspec.msgpack.Decoder(PlanTask)
_convolutions_decoder = msgspec.msgpack.Decoder(tuple[Convolution, ...])


@frozen
class _Question:
    """A request that has been read and checked."""

    network: Network
    inputs: tuple[TensorSpec, ...]
    options: RunOptions


def encode_task(host: Host, request: bytes, answers: Answers | None) -> bytes:
    """What the tasks of this module read."""
    pairs = None if answers is None else tuple(answers.items())
    return _encoder.encode(PlanTask(host, request, pairs))


def encode_convolutions(convolutions: tuple[Convolution, ...]) -> bytes:
    """What `decode_convolutions` reads."""
    return _encoder.encode(convolutions)


def decode_convolutions(data: bytes) -> tuple[Convolution, ...]:
    """The convolutions of `encode_convolutions`."""
    return _convolutions_decoder.decode(data)


def plan_task(data: bytes) -> bytes:
    """A PlanResponse, as a task."""
    task = _task_decoder.decode(data)
    answers = None if task.answers is None else dict(task.answers)
    return make_plan(PlanRequest.FromString(task.request), task.host, answers)


def convolutions_task(data: bytes) -> bytes:
    """What cuDNN must be asked for a plan, as a task."""
    request = PlanRequest.FromString(_task_decoder.decode(data).request)
    return encode_convolutions(wanted_convolutions(request))


def asks_cudnn(request: PlanRequest) -> bool:
    """Whether cuDNN must be asked before the plan can be made."""
    return request.kernels and request.device in property_devices()


def wanted_convolutions(request: PlanRequest) -> tuple[Convolution, ...]:
    """The convolutions of a request that `asks_cudnn`. Raises what `make_plan` raises."""
    question = _read(request)
    return wanted_of(
        question.network,
        question.inputs,
        layout=question.options.layout,
        training=request.training,
    )


def make_plan(request: PlanRequest, host: Host, answers: Answers | None) -> bytes:
    """The serialised PlanResponse. Raises the errors of reading and planning, with field paths."""
    with _collector_paused():
        return _make_plan(request, host, answers)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No collection of cycles in the block: a plan makes none, and keeps all until its end.

    Collections are started by the number of new objects: a plan of 180 layers would have nine, and
    they would be 3 % of its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _make_plan(request: PlanRequest, host: Host, answers: Answers | None) -> bytes:
    question = _read(request)
    options, profile = question.options, profile_of(question.options.device, host)
    plan = plan_network(
        question.network,
        question.inputs,
        advisor=advisor_of(
            profile,
            host,
            options.precision,
            answers=answers,
            training=request.training,
            caveat="" if answers is None else "; ".join(_caveats(request)),
        ),
        device=profile.name,
        profile=profile,
        layout=options.layout,
        explain=request.explain,
        training=request.training,
        optimizer=request.optimizer,
        precision=options.precision,
        max_batch=request.max_batch,
    )
    if request.kernels and profile.kind != GPU:
        plan = _with_kernel_note(plan)
    return serialize(PlanResponse(plan=to_fields(plan, plan_pb2.Plan.DESCRIPTOR)))


def _read(request: PlanRequest) -> _Question:
    inputs = read_inputs(request.inputs)
    options = from_message(request, RunOptions)
    _check_optimizer(request)
    return _Question(read_network(request.network), inputs, options)


def _check_optimizer(request: PlanRequest) -> None:
    """Raise InvalidArgumentError for an optimizer of a plan that trains nothing."""
    if request.optimizer and not request.training:
        raise InvalidArgumentError(
            f"{request.optimizer[:100]!r} is for a plan of training: ask for training too, or "
            "leave the optimizer out",
            field="optimizer",
            metadata={"value": request.optimizer[:100]},
        )


def profile_of(device: str, host: Host) -> DeviceProfile:
    """The device to plan for; the server's own if none is named."""
    if device in profiles():
        return profiles()[device]
    if host.gpu:
        return gpu_profile(host.device, host.engine, host.gpu, host.memory_bytes)
    return host_profile(host.device, host.engine, host.threads, host.memory_bytes)


def advisor_of(
    profile: DeviceProfile,
    host: Host,
    precision: str = RunOptions().precision,
    *,
    answers: Answers | None = None,
    training: bool = False,
    caveat: str = "",
) -> Advisor:
    """Who tells how the device runs a layer: the engine, or what is known of a GPU elsewhere.

    `caveat` says what is not exact about the `answers` of a GPU's library.
    """
    if profile.kind != GPU or profile.name == host.device:
        return engine_advisor(host.engine, int(profile.value("cores") or host.threads))
    return GpuAdvisor(
        device=profile.name,
        multiprocessor_count=int(profile.value("multiprocessors") or 0),
        policy=Policy(precision, profile.memory_bytes // WORKSPACE_SHARE),
        answers=answers,
        training=training,
        caveat=caveat,
    )


@lru_cache
def engine_advisor(engine: str, threads: int) -> Advisor:
    """The advisor of an engine, made once."""
    return load_advisor(engine, threads)


def _caveats(request: PlanRequest) -> Iterator[str]:
    """What is not exact about the kernels of a GPU."""
    known = device_properties(request.device)
    if not known.measured:
        yield (
            f"kernels may be ranked differently on a real {known.device}: its properties are "
            f"{known.source}"
        )
    if request.max_batch:
        yield "kernels are known for this batch alone: the largest one is without workspace"


def _with_kernel_note(plan: Plan) -> Plan:
    note = f"no kernels are listed: {plan.device} is no GPU, and only their libraries have several"
    return evolve(plan, notes=(*plan.notes, note))
