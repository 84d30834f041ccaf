"""From a header to work: decoded, checked and compiled, before anything is allocated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from attrs import frozen
from convserve.codec import from_message, network_from_message, operation_from_message
from convserve.errors import (
    DeviceNotFoundError,
    InvalidArgumentError,
    ShapeError,
    TooLargeError,
    error_at,
)
from convserve.layers.fields import NAME_PATTERN
from convserve.networks import Network
from convserve.plans import Device, RunOptions
from convserve.tensors import TensorSpec, spec_from_message
from convserve.v1 import compute_service_pb2, layer_pb2, tensor_pb2

from convserve_server.planning.inputs import channels_last
from convserve_server.planning.planner import (
    check_weight_names,
    compile_network,
    plan_operation,
)
from convserve_server.planning.program import Program, Work, work_outputs
from convserve_server.services.cache import Cache
from convserve_server.services.models import Model
from convserve_server.workers.arena import aligned_bytes

MAX_LAYERS = 4096
MAX_LAYERS_IN_LOOP = 50  # longer networks are read in a thread: other calls go on meanwhile
CACHE_BYTES = 64 << 20
BYTES_PER_STEP = 4096  # about what one compiled step takes in Python objects


@frozen
class Request:
    """What a header asks for. `tensors` come from the caller, in this order; `outputs` go back.

    Both are in the caller's layout.
    """

    work: Work
    tensors: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layout: str = "channels_first"

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
    def batch_size(self) -> int:
        """The rows of a network's batch; 1 for an operation."""
        return self.outputs[0].shape[0] if isinstance(self.work, Program) else 1

    @property
    def step_count(self) -> int:
        """How many steps the work has."""
        return len(self.work.steps) if isinstance(self.work, Program) else 1


@frozen
class LoadRequest:
    """What to make resident."""

    network: Network
    weights: tuple[TensorSpec, ...]
    options: RunOptions


class RequestReader:
    """Reads headers, and remembers what it made of them: a repeated header costs a look-up."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = devices
        self._cache: Cache[Request] = Cache(CACHE_BYTES)

    async def read_run(self, header: compute_service_pb2.RunHeader, model: Model | None) -> Request:
        """The request of a header; `model` is the one that it names, if it names one.

        Raises every error that the header alone can tell, with the field's path.
        """
        key = header.SerializeToString(deterministic=True)
        request = self._cache.get(key)
        if request is None:
            layer_count = len(model.network.layers) if model else len(header.network.layers)
            if layer_count > MAX_LAYERS_IN_LOOP:
                request = await asyncio.to_thread(self._run_request, header, model)
            else:
                request = self._run_request(header, model)
            self._cache.put(key, request, len(key) + BYTES_PER_STEP * request.step_count)
        return request

    async def read_load(self, header: compute_service_pb2.LoadModelHeader) -> LoadRequest:
        """The request of a header; its weights' names are checked against the network."""
        if len(header.network.layers) > MAX_LAYERS_IN_LOOP:
            return await asyncio.to_thread(self._load_request, header)
        return self._load_request(header)

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
            return _operation_request(header, tensors, options)
        if model is not None:
            options = _model_options(header, options, model)
            network, weights = model.network, model.weights
        elif kind == "network":
            network, weights = read_network(header.network), ()
        else:
            raise InvalidArgumentError("give a network, a model_id or an operation", field="work")
        program = compile_network(network, (*tensors, *weights), layout=options.layout)
        outputs = work_outputs(program)
        if options.layout == "channels_last":
            outputs = tuple(channels_last(spec) for spec in outputs)
        return Request(program, tensors, outputs, options.layout)

    def _load_request(self, header: compute_service_pb2.LoadModelHeader) -> LoadRequest:
        options = self._options(header.options)
        weights = read_specs(header.weights, "weights")
        network = read_network(header.network)
        check_weight_names(network, weights)
        return LoadRequest(network, weights, options)

    def _options(self, message: compute_service_pb2.RunOptions) -> RunOptions:
        with error_at("options"):
            options = from_message(message, RunOptions)
            self.check_device(options.device)
        return options


def read_network(message: layer_pb2.Network) -> Network:
    """The checked network of a message. Raises with field paths such as `layers[3].conv.groups`."""
    if len(message.layers) > MAX_LAYERS:
        raise TooLargeError(
            f"{len(message.layers)} layers are above the limit of {MAX_LAYERS}",
            field="layers",
            metadata={"layer_count": len(message.layers), "limit": MAX_LAYERS},
        )
    return network_from_message(message)


def read_specs(messages: Iterable[tensor_pb2.TensorSpec], path: str) -> tuple[TensorSpec, ...]:
    """The checked specs of tensors whose values will come. `path` is the list's field."""
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
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:100]!r} is not a name: use 1 to 128 of A-Z a-z 0-9 _ . / -", field=path
        )
    if name in taken:
        raise InvalidArgumentError(
            f"{name!r} is the name of two tensors; name each once",
            field=path,
            metadata={"value": name},
        )


def _operation_request(
    header: compute_service_pb2.RunHeader,
    tensors: tuple[TensorSpec, ...],
    options: RunOptions,
) -> Request:
    if options.layout != "channels_first":
        raise InvalidArgumentError(
            f"{options.layout} is for networks; leave the layout of an operation out",
            field="options.layout",
            metadata={"value": options.layout},
        )
    with error_at("operation"):
        operation = operation_from_message(header.operation)
    step = plan_operation(operation, tensors)
    return Request(step, tensors, (step.output,))


def _model_options(
    header: compute_service_pb2.RunHeader, options: RunOptions, model: Model
) -> RunOptions:
    if header.HasField("options") and options != model.options:
        raise InvalidArgumentError(
            f"model {model.id} runs as it was loaded, with {model.options}; leave the options out",
            field="options",
        )
    return model.options
