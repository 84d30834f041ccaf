"""From a header to work: decoded, checked and compiled, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import evolve, field, frozen
from convserve.codec import from_message, operation_from_message
from convserve.errors import (
    InvalidArgumentError,
    NotBuiltError,
    TooLargeError,
    error_at,
)
from convserve.inline import output_specs
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.tensors import TensorSpec
from convserve.v1 import compute_service_pb2 as pb2

from convserve_server.cache import ByteCache
from convserve_server.planning.inputs import CHANNELS_FIRST, CHANNELS_LAST, channels_last
from convserve_server.planning.planner import (
    check_weight_names,
    compile_network,
    plan_operation,
)
from convserve_server.planning.program import (
    Advisor,
    Work,
    work_outputs,
    work_tensors,
)
from convserve_server.services.digests import NamedTensor, read_named
from convserve_server.services.headers import (
    READ_INLINE_BYTES,
    parse_part,
    read_aside,
    read_network,
    read_specs,
)
from convserve_server.services.models import Model
from convserve_server.services.pieces import EncodedPiece, make_pieces, sample_work
from convserve_server.services.targets import Choice, Targets
from convserve_server.workers.arena import aligned_bytes
from convserve_server.workers.messages import decode_work

CACHE_BYTES = 64 << 20
LARGE_ELEMENTS = 4 << 20  # of all tensors together: to split more may take long
BYTES_PER_TENSOR = 512  # about what a spec takes in Python objects
BYTES_PER_PIECE = 1024  # so does a piece, beside its work


@frozen(kw_only=True)
class Request:
    """What a header asks for. `tensors` come from the caller, in this order; `outputs` go back.

    Both are in the caller's layout. `pieces` are what workers get, one after the other: the
    whole, or parts of it where it is split. `order` has, for each tensor that the work reads, its
    position among `tensors` and the model's weights. `weights` are the positions in `tensors` of
    those that are not inputs, `named` the tensors with a digest. `sample_work` is the work for one
    row if calls like it may be one batch. `choice` is where it may run.
    """

    pieces: tuple[EncodedPiece, ...]
    order: tuple[int, ...]
    tensors: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    options: RunOptions
    choice: Choice
    model_id: str = ""
    rows: int = 1  # of a network's batch
    weights: tuple[int, ...] = ()
    named: tuple[NamedTensor, ...] = ()
    sample_work: bytes = b""
    output_specs: bytes = field(init=False)  # as RunInlineResponse has them
    output_bytes: int = field(init=False)
    pool_bytes: int = field(init=False)  # of tensor memory that it takes while it runs

    @output_specs.default
    def _serialised(self) -> bytes:
        return output_specs(self.outputs)

    @output_bytes.default
    def _count_output(self) -> int:
        return sum(spec.byte_count for spec in self.outputs)

    @pool_bytes.default
    def _count_pool(self) -> int:
        return aligned_bytes((*self.tensors, *self.outputs))

    @property
    def kept_bytes(self) -> int:
        """About what the request itself takes."""
        works = {piece.work for piece in self.pieces} | {self.sample_work}
        work = sum(map(len, works)) + BYTES_PER_PIECE * len(self.pieces)
        return work + BYTES_PER_TENSOR * (len(self.tensors) + len(self.outputs))


@frozen
class LoadRequest:
    """What to make resident, out of a header of `header_bytes`."""

    network: Network
    weights: tuple[TensorSpec, ...]
    named: tuple[NamedTensor, ...]
    options: RunOptions
    header_bytes: int


@frozen
class _Draft:
    """A request without its pieces, and its work as a whole."""

    request: Request
    work: Work

    def complete(self, advisor: Advisor) -> Request:
        """The request with its pieces, which fit the device as `advisor` tells of it."""
        tensors = (*self.request.tensors, *self.request.outputs)
        choice = self.request.choice
        pieces = make_pieces(self.work, tensors, advisor, choice.budget_bytes, choice.first.lanes)
        return evolve(self.request, pieces=pieces)


class RequestReader:
    """Reads headers, and remembers what it made of them: a repeated header costs a look-up.

    Tensors that no `tensor_pool_bytes` hold are refused before anything is made of them. Work that
    needs more memory than the workers of its device have, is split, or refused.
    """

    def __init__(self, targets: Targets, *, tensor_pool_bytes: int) -> None:
        self._targets = targets
        self._tensor_pool_bytes = tensor_pool_bytes
        self._cache: ByteCache[bytes, Request] = ByteCache(CACHE_BYTES)

    def recall(self, header: bytes) -> Request | None:
        """The request of a serialised header that was read lately."""
        return self._cache.get(header)

    @contextmanager
    def relying_on(self, header: bytes) -> Iterator[None]:
        """Forget a header if what was built for its request has gone."""
        try:
            yield
        except NotBuiltError:
            self._cache.drop(lambda other: other == header)
            self._targets.doubt()
            raise

    def find(self, header: bytes) -> Request | pb2.RunHeader:
        """What a serialised header says, to be read by `read_run`; both have its `model_id`.

        Raises MalformedRequestError, field `header`.
        """
        return self.recall(header) or parse_part(pb2.RunHeader, header, "header")

    async def read_run(
        self, header: bytes, found: Request | pb2.RunHeader, model: Model | None
    ) -> Request:
        """The request of a header that was `found`; `model` is the one that it names.

        Raises every error that the header alone can tell, with the field's path.
        """
        if isinstance(found, Request):
            return found
        size = len(header) + (model.header_bytes if model else 0)
        if sum(math.prod(spec.shape) for spec in found.tensors) > LARGE_ELEMENTS:
            size = READ_INLINE_BYTES + 1
        request = await read_aside(size, self._run_request, found, model)
        if isinstance(request, _Draft):
            request = await _prepared(size, request)
        self._cache.put(header, request, len(header) + request.kept_bytes)
        return request

    async def read_load(self, header: pb2.LoadModelHeader) -> LoadRequest:
        """The request of a header; its weights' names are checked against the network."""
        return await read_aside(header.ByteSize(), self._load_request, header)

    def _run_request(self, header: pb2.RunHeader, model: Model | None) -> Request | _Draft:
        """The request; a draft of it where the device must be prepared before it is complete."""
        draft = self._draft(header, model)
        self._check_pool((*draft.request.tensors, *draft.request.outputs))
        target = draft.request.choice.first
        return draft.complete(target.advisor) if target.preparation is None else draft

    def _draft(self, header: pb2.RunHeader, model: Model | None) -> _Draft:
        options = self._options(header.options)
        tensors = read_specs(header.tensors, "tensors")
        kind = header.WhichOneof("work")
        if kind == "operation":
            return self._operation_draft(header, tensors, options)
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
        inputs = {spec.name for spec in program.inputs}
        request = Request(
            pieces=(),
            order=_order(program, (*tensors, *weights)),
            tensors=tensors,
            outputs=outputs,
            options=options,
            choice=self._targets.choice(options.device),
            model_id=model.id if model else "",
            rows=outputs[0].shape[0],
            weights=tuple(n for n, spec in enumerate(tensors) if spec.name not in inputs),
            named=read_named(header.digests, tensors),
            sample_work=b"" if options.batch_invariant else sample_work(program),
        )
        return _Draft(request, program)

    def _operation_draft(
        self, header: pb2.RunHeader, tensors: tuple[TensorSpec, ...], options: RunOptions
    ) -> _Draft:
        if options.layout != CHANNELS_FIRST:
            raise InvalidArgumentError(
                f"{options.layout} is for networks; leave the layout of an operation out",
                field="options.layout",
                metadata={"value": options.layout},
            )
        with error_at("operation"):
            operation = operation_from_message(header.operation)
        step = plan_operation(operation, tensors)
        request = Request(
            pieces=(),
            order=_order(step, tensors),
            tensors=tensors,
            outputs=(step.output,),
            options=options,
            choice=self._targets.choice(options.device),
            named=read_named(header.digests, tensors),
        )
        return _Draft(request, step)

    def _check_pool(self, tensors: Sequence[TensorSpec]) -> None:
        needed, limit = aligned_bytes(tensors), self._tensor_pool_bytes
        if needed > limit:
            raise TooLargeError(
                f"the call's tensors need {needed} bytes, and the server has {limit} in all; make "
                "the tensors smaller or split the batch",
                metadata={"planned_bytes": needed, "budget_bytes": limit},
            )

    def _load_request(self, header: pb2.LoadModelHeader) -> LoadRequest:
        options = self._options(header.options)
        weights = read_specs(header.weights, "weights")
        network = read_network(header.network)
        check_weight_names(network, weights)
        named = read_named(header.digests, weights)
        return LoadRequest(network, weights, named, options, header.ByteSize())

    def _options(self, message: pb2.RunOptions) -> RunOptions:
        with error_at("options"):
            options = from_message(message, RunOptions)
            self._targets.check(options.device)
        return options


async def _prepared(size: int, draft: _Draft) -> Request:
    """The request of a draft for a device that is prepared for each piece of it."""
    preparation, options = draft.request.choice.first.preparation, draft.request.options
    assert preparation is not None
    works: frozenset[Work] = frozenset((draft.work,))
    known: frozenset[Work] = frozenset()
    while not works <= known:  # what was built may be other than was thought, and so the split
        advisor = await preparation.prepare(tuple(works - known), options)
        request = await read_aside(size, draft.complete, advisor)
        known |= works
        works = frozenset(decode_work(piece.work) for piece in request.pieces)
    return request


def _order(work: Work, given: Sequence[TensorSpec]) -> tuple[int, ...]:
    """For each tensor that the work reads, its position among the given ones."""
    positions = {spec.name: position for position, spec in enumerate(given)}
    return tuple(positions[spec.name] for spec in work_tensors(work))


def _model_options(header: pb2.RunHeader, options: RunOptions, model: Model) -> RunOptions:
    if not header.HasField("options"):
        return model.options
    as_loaded = evolve(model.options, priority=options.priority)  # which is each caller's own
    if options not in (as_loaded, RunOptions(priority=options.priority)):
        raise InvalidArgumentError(
            f"model {model.id} runs as it was loaded, with {model.options}; leave the options out",
            field="options",
        )
    return as_loaded
