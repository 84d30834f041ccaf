"""From a header to work: decoded, checked and compiled, before anything is allocated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from attrs import frozen
from convserve.codec import from_message, network_from_message, operation_from_message
from convserve.errors import (
    DeviceNotFoundError,
    InvalidArgumentError,
    ShapeError,
    TooLargeError,
    error_at,
)
from convserve.networks import Network
from convserve.plans import Device, RunOptions
from convserve.tensors import TensorSpec, spec_from_message
from convserve.v1 import compute_service_pb2, layer_pb2, tensor_pb2

from convserve_server.cache import ByteCache
from convserve_server.planning.inputs import CHANNELS_FIRST, CHANNELS_LAST, channels_last
from convserve_server.planning.memory import working_bytes
from convserve_server.planning.planner import (
    check_weight_names,
    compile_network,
    plan_operation,
)
from convserve_server.planning.program import Advisor, Work, work_outputs
from convserve_server.services.bounds import MAX_TENSORS, check_length, check_network
from convserve_server.services.models import Model
from convserve_server.workers.arena import aligned_bytes
from convserve_server.workers.messages import encode_work

# What is longer is read in a thread, for other calls to go on meanwhile: 2 ms per KiB in the loop.
READ_INLINE_BYTES = 2 << 10
CACHE_BYTES = 64 << 20
BYTES_PER_TENSOR = 512  # about what a spec takes in Python objects

P = ParamSpec("P")
T = TypeVar("T")

# A layer's name, a dot, and a role such as `running_mean`.
TENSOR_NAME_PATTERN = re.compile(r"[A-Za-z0-9_./-]{1,160}")


@frozen
class Request:
    """What a header asks for. `tensors` come from the caller, in this order; `outputs` go back.

    Both are in the caller's layout. `work` is what `encode_work` made of it.
    """

    work: bytes
    tensors: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layout: str = CHANNELS_FIRST
    batch_size: int = 1  # the rows of a network's batch

    @property
    def input_bytes(self) -> int:
        """The length of all the tensors that come."""
        return sum(spec.byte_count for spec in self.tensors)

    @property
    def output_bytes(self) -> int:
        """The length of all the results."""
        return sum(spec.byte_count for spec in self.outputs)

    @property
    def pool_bytes(self) -> int:
        """The tensor memory that it takes while it runs."""
        return aligned_bytes((*self.tensors, *self.outputs))

    @property
    def kept_bytes(self) -> int:
        """About what the request itself takes."""
        return len(self.work) + BYTES_PER_TENSOR * (len(self.tensors) + len(self.outputs))


@frozen
class LoadRequest:
    """What to make resident, out of a header of `header_bytes`."""

    network: Network
    weights: tuple[TensorSpec, ...]
    options: RunOptions
    header_bytes: int


class RequestReader:
    """Reads headers, and remembers what it made of them: a repeated header costs a look-up.

    Work that needs more than `worker_memory_bytes` beside its tensors, as `advisor` tells, is
    refused.
    """

    def __init__(
        self, devices: Sequence[Device], advisor: Advisor, worker_memory_bytes: int
    ) -> None:
        self._devices = devices
        self._advisor = advisor
        self._worker_memory_bytes = worker_memory_bytes
        self._cache: ByteCache[bytes, Request] = ByteCache(CACHE_BYTES)

    async def read_run(self, header: compute_service_pb2.RunHeader, model: Model | None) -> Request:
        """The request of a header; `model` is the one that it names, if it names one.

        Raises every error that the header alone can tell, with the field's path.
        """
        key = header.SerializeToString(deterministic=True)
        request = self._cache.get(key)
        if request is None:
            size = len(key) + (model.header_bytes if model else 0)
            request = await read_aside(size, self._run_request, header, model)
            self._cache.put(key, request, len(key) + request.kept_bytes)
        return request

    async def read_load(self, header: compute_service_pb2.LoadModelHeader) -> LoadRequest:
        """The request of a header; its weights' names are checked against the network."""
        return await read_aside(header.ByteSize(), self._load_request, header)

    def check_device(self, name: str) -> None:
        """Raise DeviceNotFoundError, field `device`, unless it is known or empty."""
        known = [device.name for device in self._devices]
        if name and name not in known:
            raise DeviceNotFoundError(
                f"{name[:100]!r} is not a device of this server; it has {', '.join(known)}",
                field="device",
                metadata={"value": name[:100]},
            )

    def _run_request(self, header: compute_service_pb2.RunHeader, model: Model | None) -> Request:
        options = self._options(header.options)
        tensors = read_specs(header.tensors, "tensors")
        kind = header.WhichOneof("work")
        if kind == "operation":
            return self._operation_request(header, tensors, options)
        if model is not None:
            options = _model_options(header, options, model)
            network, weights = model.network, model.weights
        elif kind == "network":
            network, weights = read_network(header.network), ()
        else:
            raise InvalidArgumentError("give a network, a model_id or an operation", field="work")
        program = compile_network(network, (*tensors, *weights), layout=options.layout)
        outputs = work_outputs(program)
        if options.layout == CHANNELS_LAST:
            outputs = tuple(channels_last(spec) for spec in outputs)
        batch_size = outputs[0].shape[0]
        return Request(self._encoded(program), tensors, outputs, options.layout, batch_size)

    def _operation_request(
        self,
        header: compute_service_pb2.RunHeader,
        tensors: tuple[TensorSpec, ...],
        options: RunOptions,
    ) -> Request:
        if options.layout != CHANNELS_FIRST:
            raise InvalidArgumentError(
                f"{options.layout} is for networks; leave the layout of an operation out",
                field="options.layout",
                metadata={"value": options.layout},
            )
        with error_at("operation"):
            operation = operation_from_message(header.operation)
        step = plan_operation(operation, tensors)
        return Request(self._encoded(step), tensors, (step.output,))

    def _encoded(self, work: Work) -> bytes:
        """The work for the worker. Raises TooLargeError if its memory does not suffice."""
        needed = working_bytes(work, self._advisor)
        if needed > self._worker_memory_bytes:
            raise TooLargeError(
                f"beside its tensors the work needs {needed} bytes, for intermediate results and "
                f"working memory, and the worker has {self._worker_memory_bytes}; make the "
                "tensors smaller or split the batch",
                metadata={"planned_bytes": needed, "limit_bytes": self._worker_memory_bytes},
            )
        return encode_work(work)

    def _load_request(self, header: compute_service_pb2.LoadModelHeader) -> LoadRequest:
        options = self._options(header.options)
        weights = read_specs(header.weights, "weights")
        network = read_network(header.network)
        check_weight_names(network, weights)
        return LoadRequest(network, weights, options, header.ByteSize())

    def _options(self, message: compute_service_pb2.RunOptions) -> RunOptions:
        with error_at("options"):
            options = from_message(message, RunOptions)
            self.check_device(options.device)
        return options


async def read_aside(size: int, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`read(...)` of a message of `size` bytes, in a thread if it would hold the loop up."""
    if size > READ_INLINE_BYTES:
        return await asyncio.to_thread(read, *args, **kwargs)
    return read(*args, **kwargs)


def read_network(message: layer_pb2.Network) -> Network:
    """The checked network of a message. Raises with field paths such as `layers[3].conv.groups`."""
    check_network(message)
    return network_from_message(message)


def read_specs(messages: Sequence[tensor_pb2.TensorSpec], path: str) -> tuple[TensorSpec, ...]:
    """The checked specs of tensors whose values will come. `path` is the list's field."""
    check_length(messages, MAX_TENSORS, "tensors", path)
    specs: dict[str, TensorSpec] = {}
    for index, message in enumerate(messages):
        _check_name(message.name, specs, f"{path}[{index}].name")
        with error_at(f"tensors[{message.name!r}]"):
            spec = spec_from_message(message)
            if spec.is_symbolic:
                raise ShapeError(
                    "size -1 (a batch that is not known yet) can be planned but not run; "
                    "the limit is 0 or more",
                    field="shape[0]",
                    metadata={"value": -1, "limit": 0},
                )
        specs[spec.name] = spec
    return tuple(specs.values())


def _check_name(name: str, taken: Iterable[str], path: str) -> None:
    if not TENSOR_NAME_PATTERN.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:200]!r} is not a name: use 1 to 160 of A-Z a-z 0-9 _ . / -", field=path
        )
    if name in taken:
        raise InvalidArgumentError(
            f"{name!r} is the name of two tensors; name each once",
            field=path,
            metadata={"value": name},
        )


def _model_options(
    header: compute_service_pb2.RunHeader, options: RunOptions, model: Model
) -> RunOptions:
    if header.HasField("options") and options != model.options:
        raise InvalidArgumentError(
            f"model {model.id} runs as it was loaded, with {model.options}; leave the options out",
            field="options",
        )
    return model.options
