"""The documentation's commands and snippets, by a live server."""

from __future__ import annotations

import re

import pytest

from tests.documents import DOCS, ROOT, make_folder, print_of, renew, snippets

WITH_COMMANDS = [path for path in DOCS if "```console\n" in path.read_text()]
WITH_SNIPPETS = [ROOT / "README.md", *(path for path in DOCS if snippets(path.read_text()))]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.stem)
def test_commands_print_what_stands_there(path, server):
    before = path.read_text()
    after = renew(before, lambda command: print_of(command, server.address))
    assert after == before, "see whether that is right, then: python -m tests.documents"


@pytest.mark.parametrize("path", WITH_SNIPPETS, ids=lambda path: path.stem)
def test_snippets_run(path):
    names: dict[str, object] = {}
    for snippet in snippets(path.read_text()):
        exec(compile(snippet, str(path), "exec"), names)


def test_the_readme_plans(server):
    document = (ROOT / "README.md").read_text()
    commands = re.findall(r"^convserve (?:plan|explain|find) .*$", document, re.MULTILINE)
    assert len(commands) > 3
    for command in commands:
        assert "convserve: error" not in print_of(command, server.address), command
