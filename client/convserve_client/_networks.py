"""Networks, models and the server itself: plan, run, load, info. Flows without I/O."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from convserve.errors import (
    FailedPreconditionError,
    InvalidNetworkError,
    ModelNotFoundError,
    ShapeError,
    UnavailableError,
    UnsupportedError,
    error_at,
)
from convserve.layers import Layer
from convserve.networks import Network
from convserve.plans import Device, ModelInfo, Plan, RunOptions, ServerInfo
from convserve.tensors import (
    DTYPES,
    SYMBOLIC_BATCH,
    Array,
    Shape,
    TensorSpec,
    dtype_name,
    dtype_of,
)

from convserve_client import _calls
from convserve_client._checks import check_flag, check_text
from convserve_client._digests import Digests, hash_tensors, is_worth_it, send_missing
from convserve_client._flows import Flow
from convserve_client._results import Out
from convserve_client._retries import Effort
from convserve_client._run import ArrayLike, Inputs, as_inputs, as_weights, run_options, run_work
from convserve_client._session import Session

NetworkLike: TypeAlias = Network | Layer | Iterable[Layer]
ShapeLike: TypeAlias = Sequence[int | str | None]


def plan(
    session: Session,
    network: NetworkLike,
    input_shape: ShapeLike | Mapping[str, ShapeLike],
    dtype: Any = "float32",
    device: str | None = None,
    training: bool = False,
    layout: str = "channels_first",
    explain: bool = True,
    *,
    timeout: float | None = None,
) -> Flow[Plan]:
    """What a network needs: shapes, parameters, operations, receptive fields, memory, algorithms.

    `network` may be a list of layers or one layer. `input_shape` is (N, C, *L), or a dict of shapes
    by input name; "N" or None on its first axis is a batch that is not known yet. `dtype` is a name
    or a NumPy dtype. `explain` asks for each layer's formulas with their numbers. `training` True
    is not done yet and raises UnsupportedError.

    Nothing is computed or allocated. Raises InvalidArgumentError with the field, such as
    `layers[3].conv.groups`; DeviceNotFoundError; TooLargeError.
    """
    if check_flag(training, "training"):
        raise UnsupportedError(
            "training is not planned yet, only inference; for shapes, parameters and forward "
            "operations, which are the same, plan with training=False; memory is then without "
            "gradients, optimizer state and kept activations",
            field="training",
        )
    graph = as_network(network)
    options = run_options(session, device, layout=layout)
    shapes = input_shape if isinstance(input_shape, Mapping) else {"": input_shape}
    inputs = tuple(_as_spec(name, shape, dtype) for name, shape in shapes.items())
    call = partial(_calls.plan, graph, inputs, options, check_flag(explain, "explain"))
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
    arrays by layer name where the network has several outputs; so is `out`. Errors are as for
    `conv`; missing and extra weights are one InvalidNetworkError that lists them all.

    Large weights that come with the same network again and again are sent once.
    """
    graph = as_network(network)
    inputs, parameters = as_inputs(graph.inputs, x), as_weights(weights)
    if inputs.keys() & parameters.keys():
        names = ", ".join(sorted(inputs.keys() & parameters.keys()))
        raise InvalidNetworkError(f"{names} cannot be input and weight at once", field="weights")
    tensors = inputs | parameters
    options = run_options(session, device, precision, layout, batch_invariant)
    effort = session.begin(timeout)
    digests: Digests = ()
    if session.leases is None and is_worth_it(tensors, parameters):
        digests = yield from session.repeats.digests(graph, tensors, parameters)
    return (
        yield from run_work(
            session, graph, tensors, options, effort=effort, out=out, digests=digests
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
    resident = Resident(session, as_network(network), as_weights(weights), options)
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
    ) -> None:
        self.id = ""
        self.closed = False
        self._session = session
        self._network = network
        self._weights = weights
        self._options = options
        self._loading = session.make_lock()
        self._digests: Digests | None = None

    def load(self, effort: Effort) -> Flow[None]:
        """Load it; `id` is the server's from now on."""
        if self._digests is None:
            self._digests = yield from hash_tensors(self._weights, self._weights)
        load = partial(_calls.load_model, self._network, self._weights, self._options)
        answer = yield from send_missing(
            self._digests, lambda digests: effort.attempt(partial(load, digests))
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


def _as_spec(name: str, shape: ShapeLike, dtype: Any) -> TensorSpec:
    with error_at(f"input_shape[{name!r}]" if name else "input_shape"):
        sizes = _as_shape(shape)
    spec = TensorSpec(check_text(name, "input_shape"), _as_dtype_name(dtype), sizes)
    with error_at("input_shape"):
        spec.check()
    return spec


def _as_shape(shape: ShapeLike) -> Shape:
    try:
        return tuple(
            SYMBOLIC_BATCH if axis == 0 and _is_any(size) else operator.index(size)  # type: ignore[arg-type]
            for axis, size in enumerate(shape)
        )
    except TypeError:
        raise ShapeError(
            f"{shape!r} is not a shape: integers, and on the first axis also 'N' for any batch"
        ) from None


def _is_any(size: object) -> bool:
    return size is None or (isinstance(size, str) and size == "N")


def _as_dtype_name(dtype: Any) -> str:
    if isinstance(dtype, str) and dtype in DTYPES:
        return dtype
    try:
        found = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except (TypeError, ValueError, SyntaxError):  # NumPy evaluates strings with brackets
        found = None
    return dtype_name(dtype_of(str(dtype)) if found is None else found)
