"""The documentation: its links, the tests that it names, and lists that must be whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from convserve_server.planning.dialects import DIALECTS
from convserve_server.planning.importers.caffe.reader import KINDS as CAFFE
from convserve_server.planning.importers.darknet.kinds import KINDS as DARKNET
from convserve_server.planning.importers.keras.kinds import KINDS as KERAS
from convserve_server.planning.importers.onnx.folding import FOLDS
from convserve_server.planning.importers.onnx.operators import OPERATORS

from tests.documents import DOCUMENTS, ROOT, anchors, links

SYSTEMS = ROOT / "docs" / "systems.md"
# What convserve reads of each format, as docs/importing.md lists it; N is a number of axes.
READ = {
    "ONNX": {*OPERATORS, *FOLDS},
    "Keras": {re.sub("[123]D", "ND", name) for name in KERAS},
    "Caffe": set(CAFFE),
    "Darknet": set(DARKNET),
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for text, target in links(path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"[{text}]: {target}"
        assert not anchor or anchor in anchors(linked.read_text()), f"[{text}]: {target}"


def test_systems_names_tests_that_exist():
    named = [each for each in links(SYSTEMS.read_text()) if each[1].endswith(".py")]
    assert len(named) > 100
    for text, target in named:
        file = (SYSTEMS.parent / target).resolve()
        assert text in {file.stem, *functions_of(file)}, f"{target} has no {text}"


def test_every_system_has_a_test_or_a_reason():
    rows = [line for line in SYSTEMS.read_text().splitlines() if line.startswith("| ")]
    untested = [row for row in rows if "][" not in row and not row.startswith(("| system", "|---"))]
    headings = {"collection", "name", "asked"}
    for row in untested:
        name, *_, done, _ = (cell.strip() for cell in row.strip("|").split("|"))
        assert name in headings or done.startswith("nothing"), row


def test_every_dialect_is_a_system():
    known = SYSTEMS.read_text().lower()
    assert all(name in known for name in DIALECTS if name != "convserve")


@pytest.mark.parametrize("format_name", READ)
def test_everything_that_is_read_is_listed(format_name):
    document = (ROOT / "docs" / "importing.md").read_text()
    section = document.split(f"\n## {format_name}\n")[1].split("\n## ")[0]
    assert READ[format_name] - set(re.findall("`([^`]+)`", section)) == set()


def functions_of(file: Path) -> set[str]:
    defined = ast.parse(file.read_text()).body
    return {each.name for each in defined if isinstance(each, ast.FunctionDef)}
