"""From a prototxt to a network: its layers in order, each writing blobs that later ones read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from convserve.errors import InvalidNetworkError, UnsupportedError, error_at
from convserve.tensors import Shape, TensorSpec

from convserve_server.planning.importers.caffe import arranging, elementwise, windows
from convserve_server.planning.importers.caffe.layers import CaffeLayer, layers_at_test
from convserve_server.planning.importers.caffe.place import Place
from convserve_server.planning.importers.caffe.text import Message, read_text
from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import MAX_SHOWN, FileFields, shown
from convserve_server.planning.importers.imported import Imported

_MAX_RANK = 5

Translate: TypeAlias = Callable[[Place], str | tuple[str, ...]]


def _same(place: Place) -> tuple[str, ...]:
    """Dropout, and Split into any number of tops: the blob itself."""
    return (place.input,) * len(place.layer.tops)


KINDS: Final[dict[str, Translate]] = {
    "Convolution": windows.convolve,
    "Deconvolution": windows.convolve_transposed,
    "Pooling": windows.pool,
    "SPP": windows.pool_pyramid,
    "InnerProduct": arranging.connect,
    "Flatten": arranging.flatten,
    "Reshape": arranging.reshape,
    "Permute": arranging.permute,
    "Concat": arranging.concatenate,
    "Slice": arranging.cut,
    "Crop": arranging.crop,
    "Split": _same,
    "Dropout": _same,
    **dict.fromkeys(elementwise.SIMPLE, elementwise.simple),
    "ReLU": elementwise.rectify,
    "PReLU": elementwise.rectify_learnt,
    "ELU": elementwise.elu,
    "Swish": elementwise.swish,
    "Power": elementwise.power,
    "Exp": elementwise.exp,
    "Log": elementwise.log,
    "Softmax": elementwise.softmax,
    "BatchNorm": elementwise.normalize_batch,
    "LRN": elementwise.normalize_response,
    "Scale": elementwise.scale,
    "Eltwise": elementwise.combine,
}
# What only measures or stores: their bottoms are results of the network.
_DROPPED: Final = (
    "Accuracy", "ContrastiveLoss", "EuclideanLoss", "HDF5Output", "HingeLoss", "InfogainLoss",
    "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "SoftmaxWithLoss",
)  # fmt: skip
_DATA: Final = ("Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData")
_OWN_FIELDS: Final = frozenset({
    "name", "type", "bottom", "top", "include", "exclude", "param", "blobs_lr", "weight_decay",
    "loss_weight", "propagate_down", "phase", "transform_param", "dropout_param", "data_param",
})  # fmt: skip


def read_caffe(text: bytes) -> Imported:
    """The network of a prototxt in its TEST phase, its layers named as there.

    Raises InvalidNetworkError for a file that is none, UnsupportedError for a layer or field that
    cannot be expressed, TooLargeError, and what the rules of the layers raise; each names the
    layer and its line.
    """
    message = read_text(text)
    reader = _Reader()
    for name, shape in _declared_inputs(message):
        reader.open(name, shape)
    for layer in layers_at_test(message):
        with error_at(f"layer[{shown(layer.name)}]"):
            reader.read(layer)
    network = reader.draft.finish(list(reader.unread.values()))
    inputs = tuple(spec for spec in reader.inputs if spec.name in network.inputs)
    return Imported(network, inputs, notes=tuple(reader.draft.notes))


class _Reader:
    """The blobs so far: under which name in the draft each one lies."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.inputs: list[TensorSpec] = []
        self.unread: dict[str, str] = {}
        self._blobs: dict[str, str] = {}
        self._waiting: dict[str, Shape | str] = {}
        self._shared: set[str] = set()

    def open(self, blob: str, shape: Shape | str) -> None:
        """A blob that comes from outside; text instead of a shape is why it has none."""
        self._waiting[blob] = shape

    def read(self, layer: CaffeLayer) -> None:
        """One more layer."""
        if layer.type in _DATA:
            self._open_data(layer)
        elif layer.type == "Silence":
            for blob in layer.bottoms:
                self.unread.pop(blob, None)
        elif layer.type in _DROPPED:
            self.draft.note(f"{layer.name}: {layer.type} is left out; its bottom is the result")
        elif layer.type not in KINDS:
            raise UnsupportedError(
                f"{layer.where} is a layer that is not supported; supported: {', '.join(KINDS)}",
                field="type",
                metadata={"value": shown(layer.type)},
            )
        else:
            self._translate(layer)

    def _translate(self, layer: CaffeLayer) -> None:
        _check_fields(layer)
        self._check_shared(layer)
        if not layer.bottoms or not layer.tops:
            raise InvalidNetworkError(f"{layer.where} needs a bottom and a top", field="bottom")
        place = Place(self.draft, layer, tuple(self._take(layer, blob) for blob in layer.bottoms))
        result = KINDS[layer.type](place)
        results = (result,) if isinstance(result, str) else result
        if len(results) != len(layer.tops):
            raise UnsupportedError(
                f"{layer.where} has {len(layer.tops)} tops; only {len(results)} is supported",
                field="top",
            )
        for blob, name in zip(layer.tops, results, strict=True):
            self._blobs[blob] = name
            self.unread.pop(blob, None)
            self.unread[blob] = name

    def _take(self, layer: CaffeLayer, blob: str) -> str:
        self.unread.pop(blob, None)
        if blob in self._waiting:
            self._blobs[blob] = self._add_input(layer, blob, self._waiting.pop(blob))
        if blob not in self._blobs:
            raise InvalidNetworkError(
                f"{layer.where} reads {shown(blob)}, which no layer before it writes",
                field="bottom",
                metadata={"value": shown(blob)},
            )
        return self._blobs[blob]

    def _add_input(self, layer: CaffeLayer, blob: str, shape: Shape | str) -> str:
        if isinstance(shape, str):
            raise UnsupportedError(f"{layer.where} reads {shown(blob)}: {shape}", field="bottom")
        name = self.draft.add_input(blob, shape[1:])
        self.inputs.append(TensorSpec(name, "float32", shape))
        return name

    def _open_data(self, layer: CaffeLayer) -> None:
        shapes = _data_shapes(layer)
        for number, blob in enumerate(layer.tops):
            if not shapes:
                self.open(
                    blob,
                    f"the shape of what {layer.where} delivers is not in the file; replace it by "
                    'type: "Input" input_param { shape { dim: ... } }',
                )
            else:
                self.open(blob, shapes[min(number, len(shapes) - 1)])

    def _check_shared(self, layer: CaffeLayer) -> None:
        for parameter in layer.message.all("param"):
            for name in parameter.all("name") if isinstance(parameter, Message) else [parameter]:
                if name in self._shared:
                    raise UnsupportedError(
                        f"{layer.where} shares its weights {shown(name)} with another layer; a "
                        "layer here has weights of its own",
                        field="param.name",
                    )
                self._shared.add(str(name))


def _check_fields(layer: CaffeLayer) -> None:
    for name in layer.message.fields:
        if name not in _OWN_FIELDS and not name.endswith("_param"):
            raise UnsupportedError(
                f"{layer.where}: the field {shown(name)} is not known here", field=name[:MAX_SHOWN]
            )


def _data_shapes(layer: CaffeLayer) -> list[Shape]:
    """The shapes of a data layer's tops, as far as the file has them."""
    if layer.type in ("Input", "DummyData"):
        fields = layer.parameters("input_param" if layer.type == "Input" else "dummy_data_param")
        given = fields.get("shape")
        messages = given if isinstance(given, list) else [given]
        return [_shape(item.all("dim"), layer.where) for item in messages if _is_message(item)]
    return []


def _declared_inputs(message: Message) -> list[tuple[str, Shape]]:
    """`input: "data"` with `input_shape { dim: ... }`, or with four `input_dim`s."""
    names = message.all("input")
    shapes = [_shape(each.all("dim"), "input_shape") for each in message.messages("input_shape")]
    dims = message.all("input_dim")
    if dims and not shapes:
        shapes = [_shape(dims[i : i + 4], "input_dim") for i in range(0, len(dims), 4)]
    if len(names) != len(shapes) or not all(isinstance(name, str) for name in names):
        raise InvalidNetworkError(
            f"{len(names)} inputs have {len(shapes)} shapes; give an input_shape for each",
            field="input_shape",
        )
    return list(zip(names, shapes, strict=True))


def _shape(dims: list[Any], where: str) -> Shape:
    if not 2 <= len(dims) <= _MAX_RANK:
        raise InvalidNetworkError(
            f"{where}: {len(dims)} sizes are not 2 to {_MAX_RANK}, the batch first", field="dim"
        )
    return FileFields(where, {"dim": dims}).integers("dim", low=1)


def _is_message(item: object) -> bool:
    return isinstance(item, Message)
