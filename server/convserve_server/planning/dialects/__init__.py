"""One canonical layer, every dialect: the list of them."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen
from convserve.errors import InvalidArgumentError, ShapeError, error_at
from convserve.layers import Layer
from convserve.layers.fields import Ints

from convserve_server.planning.dialects.caffe import CAFFE
from convserve_server.planning.dialects.darknet import DARKNET
from convserve_server.planning.dialects.dialect import Dialect
from convserve_server.planning.dialects.jax import JAX
from convserve_server.planning.dialects.keras import KERAS
from convserve_server.planning.dialects.matlab import MATLAB
from convserve_server.planning.dialects.native import read_native, reads_native, shown_value
from convserve_server.planning.dialects.onnx import ONNX
from convserve_server.planning.dialects.pytorch import PYTORCH
from convserve_server.planning.dialects.signals import SIGNALS
from convserve_server.planning.dialects.words import Words, words_of

NATIVE = "convserve"
DIALECTS: dict[str, Dialect] = {
    each.name: each for each in (PYTORCH, KERAS, ONNX, CAFFE, DARKNET, MATLAB, JAX, SIGNALS)
}
_NO_CHANNELS = "the text does not say how many channels the result has: 1 is taken"


@frozen
class Reading:
    """What a text says: its dialect, its words as written, and our layer of the same meaning.

    `words` is None for kinds of ours without windows. `layer` is None where no layer of ours says
    it, for the reason in `problem`: then only its words can be compared.
    """

    dialect: str
    words: Words | None
    layer: Layer | None
    problem: InvalidArgumentError | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known, and what a word of the dialect is in ours."""
        if self.words is None:
            return ()
        return (*self.words.notes, *_translation(self.dialect, self.words, self.layer))


def read_layer(text: str, dialect: str, in_channels: int, lengths: Ints | None = None) -> Reading:
    """The layer of a text in a dialect, or in whichever it looks like where `dialect` is empty.

    Its input has `in_channels` channels and the spatial sizes `lengths`, None where these do not
    matter.
    Raises InvalidLayerError with the field that is wrong, ShapeError for other channels or axes
    than the text says, InvalidArgumentError for no dialect.
    """
    name = dialect or _guess(text)
    if name == NATIVE:
        with error_at("text"):
            layer = read_native(text)
            return Reading(name, words_of(layer, in_channels), layer)
    known = _find(name)
    with error_at("text"):
        words = known.read(text)
    if lengths is not None:
        words.spread(len(lengths))  # which raises for another number of axes
    with error_at("text"):
        _check_channels(words, in_channels)
    words = _with_channels(words, in_channels)
    try:
        return Reading(name, words, known.meaning(words, lengths).layer())
    except InvalidArgumentError as error:
        return Reading(name, words, None, error)


def _translation(dialect: str, words: Words, layer: Layer | None) -> Iterator[str]:
    """How a mode of padding was taken, where its dialect means another thing than we do."""
    if layer is None or dialect == NATIVE or words.padding == getattr(layer, "padding", None):
        return
    names = ("padding", "output_padding")
    ours = ", ".join(f"{n}={shown_value(getattr(layer, n))}" for n in names if hasattr(layer, n))
    size = words.output_size
    told = repr(words.padding) if size is None else f"output_size={shown_value(size)}"
    yield f"{told} by {DIALECTS[dialect].title}'s rule is {ours}"


def reading_of(layer: Layer, in_channels: int) -> Reading:
    """A layer of ours, as if it had been read."""
    return Reading(NATIVE, words_of(layer, in_channels), layer)


def _with_channels(words: Words, in_channels: int) -> Words:
    words = evolve(words, in_channels=in_channels)
    if words.result_channels:
        return words
    return evolve(words, out_channels=1, notes=(*words.notes, _NO_CHANNELS))


def _check_channels(words: Words, in_channels: int) -> None:
    if words.in_channels not in (0, in_channels):
        raise ShapeError(
            f"the layer reads {words.in_channels} channels, but the input has {in_channels}; "
            f"change one of them",
            field="in_channels",
            metadata={"value": words.in_channels, "want": in_channels},
        )


def _guess(text: str) -> str:
    if reads_native(text):
        return NATIVE
    found = [each.name for each in DIALECTS.values() if each.reads(text)]
    if len(found) != 1:
        raise InvalidArgumentError(
            f"{text[:60]!r} looks like no layer in {', '.join((NATIVE, *DIALECTS))}; name its "
            "dialect",
            field="dialect",
        )
    return found[0]


def _find(name: str) -> Dialect:
    if name not in DIALECTS:
        raise InvalidArgumentError(
            f"{name[:60]!r} is none of {', '.join((NATIVE, *DIALECTS))}", field="dialect"
        )
    return DIALECTS[name]
