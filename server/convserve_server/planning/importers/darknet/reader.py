"""From a cfg file to a network: its sections in order, each reading the one before it."""

from __future__ import annotations

from typing import Final

from convserve.errors import InvalidNetworkError, UnsupportedError, error_at
from convserve.tensors import SYMBOLIC_BATCH, Shape, TensorSpec

from convserve_server.planning.importers.darknet.kinds import KINDS, WITHOUT_EFFECT
from convserve_server.planning.importers.darknet.place import Place
from convserve_server.planning.importers.darknet.text import Section, read_sections
from convserve_server.planning.importers.draft import Draft
from convserve_server.planning.importers.fields import shown
from convserve_server.planning.importers.imported import Imported

_HEADS: Final = ("yolo", "Gaussian_yolo", "region", "detection", "cost")
_NAMES: Final = {"convolutional": "conv", "deconvolutional": "deconv"}
_INPUT: Final = "input"


def read_darknet(text: bytes) -> Imported:
    """The network of a cfg file. Layers are named after their section's number: `conv0`.

    Raises InvalidNetworkError for a file that is none, UnsupportedError for a section or option
    that cannot be expressed, TooLargeError, and what the rules of the layers raise; each names the
    section and its line.
    """
    sections = read_sections(text)
    if not sections or sections[0].name not in ("net", "network"):
        raise InvalidNetworkError("a cfg file begins with the section [net]", field="net")
    reader = _Reader(_input_shape(sections[0]))
    for index, section in enumerate(sections[1:]):
        with error_at(f"sections[{index}]"):
            reader.read(section, index)
    return reader.finish()


class _Reader:
    """The sections so far: the name in the draft of what each one makes."""

    def __init__(self, shape: Shape) -> None:
        self._draft = Draft()
        self._spec = TensorSpec(
            self._draft.add_input(_INPUT, shape), "float32", (SYMBOLIC_BATCH, *shape)
        )
        self._results: list[str] = []
        self._heads: dict[int, str] = {}

    def read(self, section: Section, index: int) -> None:
        """One more section."""
        name = section.name
        if name in _HEADS:
            self._heads[index] = self._before(section, index)
            self._results.append(self._heads[index])
            self._draft.note(f"[{name}] of line {section.line} is left out: its input is a result")
        elif name == "dropout":
            self._results.append(self._before(section, index))
        elif name in KINDS:
            self._results.append(self._translate(section, index))
        else:
            raise UnsupportedError(
                f"line {section.line}: the section [{name[:80]}] is not supported; supported: "
                f"{', '.join([*KINDS, 'dropout', *_HEADS])}",
                field="section",
                metadata={"value": shown(name), "line": section.line},
            )

    def finish(self) -> Imported:
        """The network; its results are what the heads read, and what the last section makes."""
        outputs = [*self._heads.values(), *self._results[-1:]]
        network = self._draft.finish(outputs)
        return Imported(network, (self._spec,), notes=tuple(self._draft.notes))

    def _translate(self, section: Section, index: int) -> str:
        fields = section.fields()
        fields.ignore(*WITHOUT_EFFECT)
        # A route reads only what it names, and often stands behind a head.
        source = _INPUT if section.name == "route" else self._before(section, index)
        place = Place(
            draft=self._draft,
            name=f"{_NAMES.get(section.name, section.name)}{index}",
            fields=fields,
            input=source,
            find=lambda number: self._find(section, index, number),
        )
        result = KINDS[section.name](place)
        fields.finish()
        return result

    def _before(self, section: Section, index: int) -> str:
        return self._find(section, index, -1) if index else _INPUT

    def _find(self, section: Section, index: int, number: int) -> str:
        position = number if number >= 0 else index + number
        if not 0 <= position < index:
            raise InvalidNetworkError(
                f"[{section.name[:80]}] of line {section.line} reads section {number}, which is "
                f"not one of the {index} before it",
                field="layers",
                metadata={"value": number, "limit": index},
            )
        if position in self._heads:
            raise UnsupportedError(
                f"[{section.name[:80]}] of line {section.line} reads the result of section "
                f"{position}, a head that is not computed here",
                field="layers",
            )
        return self._results[position]


def _input_shape(net: Section) -> Shape:
    """(C, H, W), or (inputs) for a network of features."""
    fields = net.fields()
    image = tuple(fields.integer(name, 0) for name in ("channels", "height", "width"))
    if all(image):
        return image
    if not any(image) and "inputs" in fields:
        return (fields.integer("inputs", low=1),)
    raise InvalidNetworkError(
        f"{fields.where} must say width, height and channels, or inputs", field="net"
    )
