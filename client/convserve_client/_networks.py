"""Networks, models and the server itself: plan, run, load, info. Flows without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from convserve.errors import (
    FailedPreconditionError,
    InvalidNetworkError,
    ModelNotFoundError,
    UnavailableError,
)
from convserve.layers import Layer
from convserve.networks import Network
from convserve.plans import Device, ModelInfo, Plan, RunOptions, ServerInfo
from convserve.tensors import (
    Array,
    TensorSpec,
)

from convserve_client import _calls
from convserve_client._checks import check_flag, check_text
from convserve_client._digests import Digests, hash_tensors, is_worth_it, send_missing
from convserve_client._flows import Flow
from convserve_client._imported import ImportedNetwork, KeptWeights
from convserve_client._results import Out
from convserve_client._retries import Effort
from convserve_client._run import ArrayLike, Inputs, as_inputs, as_weights, run_options, run_work
from convserve_client._session import Session
from convserve_client._shapes import DTYPE, Shapes, as_specs
from convserve_client._torch import TorchNetwork

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
    optimizer: str = "adam",
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
    `optimizer`: "none", "sgd", "momentum", "rmsprop" or "adam". For a GPU, `kernels` asks for the
    ways that its library offers to compute each convolution, with their workspace; `precision` is
    the least that they may have.

    Nothing is computed or allocated. Raises InvalidArgumentError with the field, such as
    `layers[3].conv.groups`; DeviceNotFoundError; TooLargeError.
    """
    graph = as_network(network)
    options = run_options(session, device, precision, layout)
    inputs = as_specs(input_shape, dtype, _own_specs(graph), options.layout)
    wishes = _calls.PlanWishes(
        explain=check_flag(explain, "explain"),
        kernels=check_flag(kernels, "kernels"),
        max_batch=check_flag(max_batch, "max_batch"),
        training=check_flag(training, "training"),
        optimizer=check_text(optimizer, "optimizer") if training else "",
    )
    call = partial(_calls.plan, graph, inputs, options, wishes)
    return session.begin(timeout).attempt(call)


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
    kept = _kept(graph, weights)
    given = kept.arrays if kept else _given_or_own(graph, weights)
    inputs, parameters = as_inputs(graph.inputs, x), as_weights(given)
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


def load(
    session: Session,
    network: NetworkLike,
    weights: Mapping[str, ArrayLike] | None = None,
    *,
    device: str | None = None,
    precision: str = "strict",
    layout: str = "channels_first",
    batch_invariant: bool = False,
    timeout: float | None = None,
) -> Flow[Resident]:
    """Make a network resident on the server with its weights, so that calls send only inputs.

    Returns the model: call it as often as you like, then close it. Arguments and errors are those
    of `run`. Weights that the server has already, from anybody, are not sent. The arrays of
    `weights` are kept, not copied, and are sent again should the server lose them: do not change
    them.
    """
    options = run_options(session, device, precision, layout, batch_invariant)
    graph = as_network(network)
    kept = _kept(graph, weights)
    given = kept.arrays if kept else _given_or_own(graph, weights)
    resident = Resident(session, graph, as_weights(given), options, kept)
    yield from resident.load(session.begin(timeout))
    return resident


def model(session: Session, model_id: str, *, timeout: float | None = None) -> Flow[Served]:
    """The model of an id that is resident already, such as one loaded at the server's start.

    Call it as you call one of `load`; closing it leaves it on the server. Raises
    ModelNotFoundError.
    """
    check_text(model_id, "model_id")
    for found in (yield from models(session, timeout=timeout)):
        if found.id == model_id:
            return Served(session, found)
    raise ModelNotFoundError(f"the server has no model {model_id!r}; load it", field="model_id")


def models(session: Session, *, timeout: float | None = None) -> Flow[tuple[ModelInfo, ...]]:
    """The models resident on the server, oldest first, whoever loaded them."""
    effort = session.begin(timeout)
    found: tuple[ModelInfo, ...] = ()
    token = ""
    while True:
        page, token = yield from effort.attempt(partial(_calls.list_models, token))
        found += page
        if not token:
            return found


def info(session: Session, *, timeout: float | None = None) -> Flow[ServerInfo]:
    """The server's version, engines, devices and limits."""
    return session.begin(timeout).attempt(_calls.server_info)


def devices(session: Session, *, timeout: float | None = None) -> Flow[tuple[Device, ...]]:
    """The devices that a call or a plan may name, the default first."""
    return session.begin(timeout).attempt(_calls.list_devices)


class Resident:
    """A network resident on a server: what a model knows, without any I/O."""

    def __init__(
        self,
        session: Session,
        network: Network,
        weights: Mapping[str, Array],
        options: RunOptions,
        kept: KeptWeights | None = None,
    ) -> None:
        self.id = ""
        self.closed = False
        self._session = session
        self._network = network
        self._weights = weights
        self._options = options
        self._loading = session.make_lock()
        self._kept = kept
        self._digests: Digests | None = kept.digests(0) if kept else None

    def load(self, effort: Effort) -> Flow[None]:
        """Load it; `id` is the server's from now on."""
        if self._digests is None:
            self._digests = yield from hash_tensors(self._weights, self._weights)
        load = partial(_calls.load_model, self._network, self._weights, self._options)
        answer = yield from send_missing(
            self._digests,
            lambda digests: effort.attempt(partial(load, digests)),
            partial(self._kept.restore, effort) if self._kept else None,
        )
        self.id = answer.id

    def run(self, x: Inputs, timeout: float | None, out: Out) -> Flow[Any]:
        """Run it on `x`; a server that lost it is given it again, once."""
        if self.closed:
            raise FailedPreconditionError(f"the model {self.id} is closed: load it again")
        inputs, used = as_inputs(self._network.inputs, x), self.id
        effort = self._session.begin(timeout)
        try:
            return (yield from self._run(inputs, effort, out))
        except ModelNotFoundError:
            yield from effort.alone(self._loading, self._reload(used, effort))
        return (yield from self._run(inputs, effort, out))

    def close(self) -> Flow[None]:
        """Unload it. A second time, or with the server gone, there is nothing to do."""
        if self.closed:
            return
        self.closed = True
        call = partial(_calls.unload_model, self.id)
        # It may not be there any more, or this client be closed and unable to say.
        with suppress(ModelNotFoundError, UnavailableError, FailedPreconditionError):
            yield from self._session.begin(None).attempt(call)

    def _run(self, inputs: Mapping[str, Array], effort: Effort, out: Out) -> Flow[Any]:
        return run_work(self._session, self.id, inputs, self._options, effort=effort, out=out)

    def _reload(self, lost: str, effort: Effort) -> Flow[None]:
        if self.id == lost:  # else another caller was here first
            yield from self.load(effort)


class Served:
    """A model that is on the server whatever this client does: what is known of it."""

    def __init__(self, session: Session, info: ModelInfo) -> None:
        self.id = info.id
        self._session = session
        self._inputs = info.inputs

    def run(self, x: Inputs, timeout: float | None, out: Out) -> Flow[Any]:
        """Run it on `x`. Raises ModelNotFoundError if it has gone."""
        options = run_options(self._session, None)
        effort = self._session.begin(timeout)
        inputs = as_inputs(self._inputs, x)
        return run_work(self._session, self.id, inputs, options, effort=effort, out=out)

    def close(self) -> Flow[None]:
        """Leave it where it is."""
        yield from ()


def as_network(value: NetworkLike) -> Network:
    """A network of a network, a layer, or a list of layers."""
    if isinstance(value, Network):
        return value
    return Network([value] if isinstance(value, Layer) else value)


def _kept(network: Network, weights: Mapping[str, ArrayLike] | None) -> KeptWeights | None:
    """The weights of an imported network, if it has some and the call gives none."""
    if weights is not None or not isinstance(network, ImportedNetwork) or not network.weights:
        return None
    return KeptWeights(network)


def _own_specs(network: Network) -> tuple[TensorSpec, ...]:
    return network.input_specs if isinstance(network, ImportedNetwork | TorchNetwork) else ()


def _given_or_own(
    network: Network, weights: Mapping[str, ArrayLike] | None
) -> Mapping[str, ArrayLike] | None:
    """The weights of a call; those that came with a torch module if the call gives none."""
    if weights is None and isinstance(network, TorchNetwork):
        return network.weights
    return weights
