"""The documentation as tests see it: its commands, snippets, links, and the tests that it names.

`python -m tests.documents` writes into docs/*.md what the commands there print now.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from convserve_client import cli

from tests.server import start_server

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [*DOCS, *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*/*.md"))]
DOCUMENTS += sorted((ROOT / "tests").rglob("*.md"))

_CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)$", re.MULTILINE)
_DEFINED = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
_INLINE = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_BY_NAME = re.compile(r"\[([^\]]+)\]\[([^\]]+)\]")


def renew(document: str, run: Callable[[str], str]) -> str:
    """The document with what `run` gives for each command of its `console` blocks below it."""

    def block(found: re.Match[str]) -> str:
        return "".join(f"$ {command}\n{run(command)}" for command in _COMMAND.findall(found[0]))

    return _CONSOLE.sub(block, document)


def make_folder(path: Path) -> Path:
    """A folder in which commands find docs/, and may write."""
    (path / "docs").symlink_to(ROOT / "docs")
    return path


def print_of(command: str, server: str) -> str:
    """What a command prints by a server, errors too; convserve's own runs in this process."""
    first, _, rest = command.partition(" | ")
    name, *arguments = shlex.split(first)
    if name != "convserve":
        return _by_shell(command)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        cli.main([*arguments, "--server", server])
    return _by_shell(rest or "cat", printed.getvalue())


def _by_shell(command: str, text: str = "") -> str:
    """What a shell's command prints, by bytes, so that no locale matters."""
    done = subprocess.run(["bash", "-c", command], input=text.encode(), capture_output=True)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())


def snippets(document: str) -> list[str]:
    """The document's blocks of Python."""
    return _PYTHON.findall(document)


def links(document: str) -> list[tuple[str, str]]:
    """What is linked, as (text, target), and the targets that have a name."""
    prose = _FENCED.sub("", document)
    named = dict(_DEFINED.findall(prose))
    by_name = [(text, named.get(name, name)) for text, name in _BY_NAME.findall(prose)]
    return [*_INLINE.findall(prose), *by_name]


def anchors(document: str) -> set[str]:
    """The names by which the document's headings are linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", _FENCED.sub("", document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def main() -> None:
    """Renew every document."""
    with tempfile.TemporaryDirectory() as name, start_server() as server:
        os.chdir(make_folder(Path(name)))
        for path in DOCS:
            before = path.read_text()
            after = renew(before, lambda command: print_of(command, server.address))
            if after != before:
                path.write_text(after)
                print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
