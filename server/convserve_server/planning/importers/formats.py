"""Whose file it is, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from convserve.errors import InvalidArgumentError, TooLargeError
from convserve.tensors import Shape

from convserve_server.planning.importers.caffe import read_caffe
from convserve_server.planning.importers.darknet import read_darknet
from convserve_server.planning.importers.imported import Imported
from convserve_server.planning.importers.keras import read_keras
from convserve_server.planning.importers.onnx import read_onnx

MAX_TEXT_BYTES = 16 << 20
ENDINGS = {".onnx": "onnx", ".json": "keras", ".prototxt": "caffe", ".cfg": "darknet"}
FORMATS = tuple(ENDINGS.values())
_TEXTS: dict[str, Callable[[bytes], Imported]] = {
    "keras": read_keras,
    "caffe": read_caffe,
    "darknet": read_darknet,
}


def format_of(given: str, file_name: str) -> str:
    """One of FORMATS: the given one, or what the file's name tells. Raises InvalidArgumentError."""
    if given and given not in FORMATS:
        raise InvalidArgumentError(
            f"{given!r} is not a format; use one of {', '.join(FORMATS)}", field="format"
        )
    found = given or ENDINGS.get("." + file_name.rpartition(".")[2].lower(), "")
    if not found:
        raise InvalidArgumentError(
            f"the name {file_name[-100:]!r} does not tell whose file it is; give a format, one of "
            f"{', '.join(FORMATS)}, or a name that ends in {', '.join(ENDINGS)}",
            field="file_name",
        )
    return found


def read(form: str, file: memoryview, shapes: Mapping[str, Shape]) -> Imported:
    """The network of a file. `shapes` of inputs replace those of the file, for ONNX.

    Raises what the readers raise; TooLargeError for a text that is too long.
    """
    if form == "onnx":
        return read_onnx(file, shapes)
    if shapes:
        raise InvalidArgumentError(
            f"the shapes of a {form} file are its own; give others when you plan", field="inputs"
        )
    if len(file) > MAX_TEXT_BYTES:
        raise TooLargeError(
            f"{len(file)} bytes of text are above the limit of {MAX_TEXT_BYTES}; split the network",
            metadata={"value": len(file), "limit": MAX_TEXT_BYTES},
        )
    return _TEXTS[form](bytes(file))
