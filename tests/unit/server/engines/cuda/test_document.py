"""What docs/gpu.md says that no GPU has run is there to be run."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from convserve_server.engines import cuda

DOCUMENT = Path(__file__).parents[5] / "docs" / "gpu.md"
PACKAGE = Path(cuda.__file__).parent


def named():
    """What stands in the second column of the table."""
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("name", [name for name in named() if "/" in name])
def test_files_are_there(name):
    folders = (PACKAGE, PACKAGE.parents[1])
    assert any(list(folder.glob(name)) for folder in folders)


@pytest.mark.parametrize("name", [name for name in named() if re.match(r"[a-z_]+\.[A-Za-z]", name)])
def test_names_are_in_their_modules(name):
    module, *path = name.split(".")
    found = import_module(f"convserve_server.engines.cuda.{module}")
    for part in path:
        found = getattr(found, part)
