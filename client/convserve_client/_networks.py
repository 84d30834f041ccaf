"""Networks, and the server itself: plan, run, info. Flows without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

from convserve.codec import from_message, network_to_message, to_message
from convserve.errors import InvalidNetworkError
from convserve.layers import Layer
from convserve.networks import Network
from convserve.plans import Plan
from convserve.servers import Device, ServerInfo
from convserve.tensors import Array, TensorSpec, spec_to_message
from convserve.v1 import planning_service_pb2 as messages

from convserve_client import _calls
from convserve_client._calls import Ask
from convserve_client._checks import check_flag, check_text
from convserve_client._digests import Digests, is_worth_it
from convserve_client._flows import Flow
from convserve_client._foreign import ForeignNetwork
from convserve_client._imported import KeptWeights
from convserve_client._results import Out
from convserve_client._run import ArrayLike, Inputs, as_inputs, as_weights, run_options, run_work
from convserve_client._session import Session
from convserve_client._shapes import DTYPE, Shapes, as_specs

NetworkLike: TypeAlias = Network | Layer | Iterable[Layer]


def plan(
    session: Session,
    network: NetworkLike,
    input_shape: Shapes = None,
    dtype: Any = DTYPE,
    device: str | None = None,
    training: bool = False,
    layout: str = "channels_first",
    explain: bool = True,
    *,
    optimizer: str | None = None,
    precision: str = "strict",
    kernels: bool = False,
    max_batch: bool = False,
    timeout: float | None = None,
) -> Flow[Plan]:
    """What a network needs: shapes, parameters, operations, receptive fields, memory, algorithms.

    `network` may be a list of layers or one layer. `input_shape` is (N, C, *L), or a dict of shapes
    by input name; "N" or None on its first axis is a batch that is not known yet. A network that
    was imported needs none: the file's are taken. `dtype` is a name or a NumPy dtype. `explain`
    asks for each layer's formulas with their numbers.

    `device` may be one that the server does not have, such as "l4": see `devices`. The plan says
    whether the network fits it, and `max_batch` asks for the largest batch that does, and why not
    one more. `training` plans a step of it: what backward keeps, gradients, and the state of the
    `optimizer`: "none", "sgd", "momentum", "rmsprop" or, by default, "adam". For a GPU, `kernels`
    asks for the ways that its library offers to compute each convolution, with their workspace;
    `precision` is the least that they may have.

    Nothing is computed or allocated. Raises InvalidArgumentError with the field, such as
    `layers[3].conv.groups`; DeviceNotFoundError; TooLargeError.
    """
    graph = as_network(network)
    options = run_options(session, device, precision, layout)
    inputs = input_specs(graph, input_shape, dtype, options.layout)
    request = messages.PlanRequest(
        network=network_to_message(graph),
        inputs=map(spec_to_message, inputs),
        explain=check_flag(explain, "explain"),
        kernels=check_flag(kernels, "kernels"),
        max_batch=check_flag(max_batch, "max_batch"),
        training=check_flag(training, "training"),
        optimizer="" if optimizer is None else check_text(optimizer, "optimizer"),
    )
    return session.begin(timeout).attempt(partial(_plan, to_message(options, request)))


def run(
    session: Session,
    network: NetworkLike,
    x: Inputs,
    weights: Mapping[str, ArrayLike] | None = None,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
    out: Out = None,
) -> Flow[Any]:
    """Run a network once on `x`, an array or a dict of arrays by input name.

    `weights` are arrays by name, `<layer>.weight`, `<layer>.bias`. Returns an array, or a dict of
    arrays by layer name where the network has several outputs; so is `out`. An imported network
    brings its own weights, which the server keeps, or reads again from the file. Errors are as for
    `conv`; missing and extra weights are one InvalidNetworkError that lists them all.

    Large weights that come with the same network again and again are sent once.
    """
    graph = as_network(network)
    parameters, kept = weights_of(graph, weights)
    inputs = as_inputs(graph.inputs, x)
    if inputs.keys() & parameters.keys():
        names = ", ".join(sorted(inputs.keys() & parameters.keys()))
        raise InvalidNetworkError(f"{names} cannot be input and weight at once", field="weights")
    tensors = inputs | parameters
    options = run_options(session, device, precision, layout, batch_invariant)
    effort = session.begin(timeout)
    digests: Digests = kept.digests(len(inputs)) if kept else ()
    if kept is None and session.leases is None and is_worth_it(tensors, parameters):
        digests = yield from session.repeats.digests(graph, tensors, parameters)
    return (
        yield from run_work(
            session,
            graph,
            tensors,
            options,
            effort=effort,
            out=out,
            digests=digests,
            restore=partial(kept.restore, effort) if kept else None,
        )
    )


def info(session: Session, *, timeout: float | None = None) -> Flow[ServerInfo]:
    """The server's version, engines, devices and limits."""
    return session.begin(timeout).attempt(_calls.server_info)


def devices(session: Session, *, timeout: float | None = None) -> Flow[tuple[Device, ...]]:
    """The devices that a call or a plan may name, the default first."""
    return session.begin(timeout).attempt(_calls.list_devices)


def as_network(value: NetworkLike) -> Network:
    """A network of a network, a layer, or a list of layers."""
    if isinstance(value, Network):
        return value
    return Network([value] if isinstance(value, Layer) else value)


def weights_of(
    network: Network, weights: Mapping[str, ArrayLike] | None
) -> tuple[dict[str, Array], KeptWeights | None]:
    """The weights of a call, or the network's own if it gives none.

    The second is there where the server keeps them: the arrays then have shapes but no values.
    """
    if weights is None and isinstance(network, ForeignNetwork):
        kept = network.kept_weights
        return (kept.arrays, kept) if kept else (as_weights(network.weights), None)
    return as_weights(weights), None


def input_specs(network: Network, given: Shapes, dtype: Any, layout: str) -> tuple[TensorSpec, ...]:
    """The specs of a network's inputs: `as_specs` of what it tells by itself, if anything."""
    if isinstance(network, ForeignNetwork):
        return as_specs(given, dtype, network.input_specs, layout, network.source)
    return as_specs(given, dtype, (), layout)


def _plan(request: messages.PlanRequest) -> Ask[Plan]:
    return Ask("Plan", request, lambda answer: from_message(answer.plan, Plan))
