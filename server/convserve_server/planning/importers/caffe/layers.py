"""The layers of a prototxt that belong to its TEST phase, of both forms, in one."""

from __future__ import annotations

from typing import Final

from attrs import frozen
from convserve.errors import InvalidNetworkError, UnsupportedError

from convserve_server.planning.importers.caffe.text import Message
from convserve_server.planning.importers.fields import MAX_SHOWN, FileFields, shown

# V1LayerParameter.LayerType of the older form, where it is not the newer name in capitals.
_OLD_TYPES: Final = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
}


@frozen
class CaffeLayer:
    """One layer: its type in the newer spelling, and the blobs that it reads and writes."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: Message

    @property
    def where(self) -> str:
        """How people find it in the file."""
        return f"{self.type[:MAX_SHOWN]} {shown(self.name)} (line {self.message.line})"

    def parameters(self, name: str) -> FileFields:
        """The fields of its `..._param`; none where it is left out."""
        found = self.message.messages(name)
        if len(found) > 1:
            raise InvalidNetworkError(f"{self.where} has {name} twice", field=name)
        return FileFields(f"{self.where}, {name}", found[0].values() if found else {})


def layers_at_test(network: Message) -> list[CaffeLayer]:
    """The layers that a network in phase TEST has."""
    if network.all("layer") and network.all("layers"):
        raise InvalidNetworkError("a file has either `layer` or `layers`, not both", field="layers")
    messages = network.messages("layer") or network.messages("layers")
    return [_read_layer(message) for message in messages if _belongs(message)]


def _read_layer(message: Message) -> CaffeLayer:
    if message.all("layer"):
        raise UnsupportedError(
            f"line {message.line}: a layer within a layer is Caffe's oldest form; convert the file "
            "by upgrade_net_proto_text",
            field="layers",
        )
    name, kind = (_text(message, field) for field in ("name", "type"))
    if kind.isupper() and kind not in ("LRN", "ELU", "BNLL", "MVN", "SPP"):
        kind = _OLD_TYPES.get(kind, kind.title())
    return CaffeLayer(name, kind, _texts(message, "bottom"), _texts(message, "top"), message)


def _belongs(message: Message) -> bool:
    """Caffe's Net::FilterNet for phase TEST, level 0 and no stages."""
    includes, excludes = message.messages("include"), message.messages("exclude")
    if includes:
        return any(map(_is_met, includes))
    return not any(map(_is_met, excludes))


def _is_met(rule: Message) -> bool:
    fields = FileFields(f"line {rule.line}, include or exclude", rule.values())
    phase = fields.word("phase", ("TRAIN", "TEST"), "TEST")
    lowest = fields.get("min_level")
    highest = fields.get("max_level")
    return (
        phase == "TEST"
        and "stage" not in fields
        and not (type(lowest) is int and lowest > 0)
        and not (type(highest) is int and highest < 0)
    )


def _text(message: Message, field: str) -> str:
    values = _texts(message, field)
    if len(values) != 1:
        raise InvalidNetworkError(
            f"line {message.line}: a layer needs exactly one {field}", field=field
        )
    return values[0]


def _texts(message: Message, field: str) -> tuple[str, ...]:
    values = message.all(field)
    if not all(isinstance(value, str) for value in values):
        raise InvalidNetworkError(
            f"line {message.line}: {field} must be text, not {shown(values)}", field=field
        )
    return tuple(values)
