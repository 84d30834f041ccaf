"""Models: networks that are resident on a server with their weights. Flows without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from convserve.errors import FailedPreconditionError, ModelNotFoundError, UnavailableError
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.servers import ModelInfo
from convserve.tensors import Array

from convserve_client import _calls
from convserve_client._checks import check_text
from convserve_client._digests import Digests, hash_tensors, send_missing
from convserve_client._flows import Flow
from convserve_client._imported import KeptWeights
from convserve_client._networks import NetworkLike, as_network, weights_of
from convserve_client._results import Out
from convserve_client._retries import Effort
from convserve_client._run import ArrayLike, Inputs, as_inputs, run_options, run_work
from convserve_client._session import Session


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
    arrays, kept = weights_of(graph, weights)
    resident = Resident(session, graph, arrays, options, kept)
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
