"""Networks out of files: convserve's own JSON, and other programs' models, which the server reads.

The server keeps an imported model's weights under their digests; here stand their names, and where
the file is, for a server that has lost them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from attrs import field, frozen
from convserve.chunks import chunk_messages
from convserve.codec import network_from_message
from convserve.errors import (
    ConvserveError,
    FailedPreconditionError,
    InvalidArgumentError,
    TooLargeError,
)
from convserve.networks import Network
from convserve.services import Outgoing
from convserve.tensors import Array, Shape, TensorSpec, dtype_of, spec_from_message
from convserve.v1 import planning_service_pb2 as messages

from convserve_client._calls import Ask
from convserve_client._checks import check_flag, check_text
from convserve_client._digests import Digest, Digests
from convserve_client._flows import Flow
from convserve_client._foreign import ForeignNetwork
from convserve_client._retries import Effort
from convserve_client._session import Session
from convserve_client._shapes import Shapes, as_shapes

ENDINGS = {".onnx": "onnx", ".prototxt": "caffe", ".cfg": "darknet"}  # any other is JSON
FORMATS = ("onnx", "keras", "caffe", "darknet")
MAX_FILE_BYTES = 2**31 - 1
MAX_TEXT_BYTES = 16 << 20


@frozen
class ModelFile:
    """A file, whose it is (empty: as it tells itself), and shapes in place of those it tells."""

    path: Path
    format: str = ""
    shapes: tuple[tuple[str, Shape], ...] = ()


@frozen
class ImportedWeight:
    """A weight on the server: `sha256` is the digest of its values; empty if it is not kept."""

    spec: TensorSpec
    sha256: bytes


@frozen
class ImportedNetwork(ForeignNetwork):
    """A network out of a file: `Client.read_network` makes it.

    It may stand wherever a network may. `run` and `load` take the file's own weights where none are
    given; `plan` takes `input_specs`, the shapes that the file tells: -1 for a batch that is open,
    0 for another open size. `weights` are by name; a text format has none. `notes` say what was
    left out, or done in another way.
    """

    weights: Mapping[str, ImportedWeight] = field(factory=dict, kw_only=True, eq=False, repr=False)
    file: ModelFile = field(kw_only=True, eq=False, repr=False)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.file.path

    @property
    def source(self) -> str:
        """The path, as text."""
        return str(self.path)

    @property
    def kept_weights(self) -> KeptWeights | None:
        """Its weights on the server; None if it has none."""
        return KeptWeights(self) if self.weights else None


@frozen(eq=False)
class KeptWeights:
    """The weights of an imported network as a call names them, without their values."""

    network: ImportedNetwork

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """Arrays of their shapes that take no memory, for the values are not sent."""
        return {
            name: np.broadcast_to(np.zeros((), dtype_of(weight.spec.dtype)), weight.spec.shape)
            for name, weight in self.network.weights.items()
        }

    def digests(self, first: int) -> Digests:
        """Their digests, the first weight being tensor `first`. Raises FailedPreconditionError."""
        lost = [name for name, weight in self.network.weights.items() if not weight.sha256]
        if lost:
            raise FailedPreconditionError(
                f"the server did not keep the weights of {self.network.path} "
                f"({'; '.join(self.network.notes) or 'as was asked for'}); read the file again "
                "where there is room, or give the weights",
                field="weights",
            )
        weights = self.network.weights.values()
        return tuple(Digest(n, weight.sha256) for n, weight in enumerate(weights, first))

    def restore(self, effort: Effort) -> Flow[None]:
        """Have the server read the file again. Raises FailedPreconditionError if it has changed."""
        again = yield from read_file(self.network.file, effort)
        if again.weights != self.network.weights:
            raise FailedPreconditionError(
                f"the server has lost the weights of {self.network.path}, and the file is not what "
                "it was; read it again",
                field="weights",
            )


def read_network(
    session: Session,
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the word that people look for
    *,
    input_shape: Shapes = None,
    keep_weights: bool = True,
    timeout: float | None = None,
) -> Flow[ImportedNetwork]:
    """The network of a file: .onnx, .json (Keras's, or convserve's own), .prototxt, .cfg.

    `format` is "onnx", "keras", "caffe" or "darknet"; None: as the file's name or content tells.
    `input_shape` stands in place of the shapes that an ONNX file tells, for one that leaves open
    what must be known: (N, C, *L), or a dict of shapes by the file's names. The server reads the
    file, executes nothing, and keeps the weights as it keeps those of models, unless told not to
    by `keep_weights`: a plan needs none.

    Raises InvalidArgumentError for a file that is wrong; UnsupportedError, with the node or layer,
    for what convserve has no layer for; TooLargeError.
    """
    form = "" if format is None else check_text(format, "format")
    if form and form not in FORMATS:
        raise InvalidArgumentError(
            f"{form!r} is not a format; use one of {', '.join(FORMATS)}", field="format"
        )
    file = ModelFile(Path(path), form, tuple(as_shapes(input_shape).items()))
    keep = check_flag(keep_weights, "keep_weights")
    return (yield from read_file(file, session.begin(timeout), keep=keep))


def read_file(file: ModelFile, effort: Effort, *, keep: bool = True) -> Flow[ImportedNetwork]:
    """The network of a file, by the server unless it is convserve's own. Errors note the file."""
    form = file.format or ENDINGS.get(file.path.suffix.lower(), "")
    data = _read(file.path, MAX_FILE_BYTES if form == "onnx" else MAX_TEXT_BYTES)
    try:
        return (yield from _network_of(file, form, data, effort, keep))
    except ConvserveError as error:
        error.add_note(f"while reading {file.path}")
        raise


def _network_of(
    file: ModelFile, form: str, data: bytes, effort: Effort, keep: bool
) -> Flow[ImportedNetwork]:
    if not form:
        own = _own_network(file.path, data)
        if own is not None:
            return ImportedNetwork(own.layers, own.inputs, own.outputs, file=file)
    call = partial(_import_network, memoryview(data), form or "keras", file.shapes, keep)
    answer = yield from effort.attempt(call)
    network = network_from_message(answer.network)
    weights = [ImportedWeight(spec_from_message(w.spec), w.sha256) for w in answer.weights]
    return ImportedNetwork(
        network.layers,
        network.inputs,
        network.outputs,
        input_specs=tuple(map(spec_from_message, answer.inputs)),
        weights={weight.spec.name: weight for weight in weights},
        notes=tuple(answer.notes),
        file=file,
    )


def _import_network(
    data: memoryview, form: str, shapes: Iterable[tuple[str, Shape]], keep: bool
) -> Ask[messages.ImportNetworkResponse]:
    """ImportNetwork: the header, then the file in chunks."""

    def requests() -> Iterator[Outgoing]:
        header = messages.ImportNetworkHeader(
            format=f"MODEL_FORMAT_{form.upper()}",
            byte_count=len(data),
            inputs=[messages.InputShape(name=n, shape=shape) for n, shape in shapes],
            without_weights=not keep,
        )
        yield messages.ImportNetworkRequest(header=header)
        yield from chunk_messages([data])

    return Ask("ImportNetwork", requests(), lambda answer: answer)


def _read(path: Path, limit: int) -> bytes:
    """The file's bytes, at most so many. Raises InvalidArgumentError, TooLargeError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 for what is no plain file
            data = file.read(limit + 1) if size <= limit else b""
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidArgumentError(f"cannot read it: {reason}", field=str(path)) from error
    if max(size, len(data)) > limit:
        text = "" if limit == MAX_FILE_BYTES else " for text; files of ONNX end in .onnx"
        raise TooLargeError(
            f"it has more bytes than the limit of {limit}{text}",
            field=str(path),
            metadata={"value": max(size, len(data)), "limit": limit},
        )
    return data


def _own_network(path: Path, data: bytes) -> Network | None:
    """The network of convserve's own JSON; None for Keras's."""
    try:
        document = json.loads(data)
    except RecursionError:
        raise InvalidArgumentError("it is nested too deeply", field=str(path)) from None
    except ValueError as error:  # bytes that are no text, or text that is no JSON
        raise InvalidArgumentError(
            f"it is not JSON: {error}; files of other formats end in {', '.join(ENDINGS)}",
            field=str(path),
        ) from error
    is_keras = isinstance(document, dict) and "class_name" in document
    return None if is_keras else Network.from_dict(document)
