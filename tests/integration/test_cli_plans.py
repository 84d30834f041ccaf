"""What the command makes of plans: formats, comparisons, pictures."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from convserve_client.cli import main

from tests.server import RunningServer

SMALL = [{"kind": "conv", "out_channels": 4, "kernel_size": 3}, {"kind": "relu"}]
LARGE = [{"kind": "conv", "out_channels": 8, "kernel_size": 3}, {"kind": "relu"}]
INPUT = ("--input", "1x3x8x8")


@pytest.fixture(autouse=True)
def home(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and the server as the default one."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.address)
    monkeypatch.chdir(tmp_path)
    Path("small.json").write_text(json.dumps(SMALL))
    Path("large.json").write_text(json.dumps(LARGE))


def plan(*arguments: str) -> int:
    return main(["plan", *arguments, *INPUT])


def test_formats(capsys):
    assert plan("small.json", "--format", "csv") == 0
    rows = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [row["output_shape"] for row in rows] == ["1x4x6x6", "1x4x6x6"]
    assert plan("small.json", "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith("| Layer |")
    assert plan("small.json", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert plan("small.json", "--json") == 0
    assert json.loads(capsys.readouterr().out) == document


def test_against_another_network(capsys):
    assert plan("large.json", "--against", "small.json") == 0
    output = capsys.readouterr().out
    assert "(1, 4, 6, 6) → (1, 8, 6, 6)" in output
    assert plan("large.json", "--against", "small.json", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [layer["change"] for layer in document["layers"]] == ["changed", "changed"]


def test_plot(capsys):
    assert plan("small.json", "--plot", "plan.svg") == 0
    assert "Receptive field" in Path("plan.svg").read_text()
    assert capsys.readouterr().out.startswith("Layer")
    assert plan("small.json", "--plot", "plan.gif") == 2
    assert "'plan.gif' is no name for a picture" in capsys.readouterr().err


def test_explain_plots_the_layer(capsys):
    layer = "nn.Conv2d(3, 8, 3, stride=2, padding=1)"
    assert main(["explain", layer, *INPUT, "--plot", "layer.svg"]) == 0
    assert "conv 3 × 3, stride 2, padding 1" in Path("layer.svg").read_text()
    assert main(["explain", "nn.Conv2d(3, 8, 9)", *INPUT, "--plot", "none.svg"]) == 2
    assert "nothing to draw" in capsys.readouterr().err
    assert not Path("none.svg").exists()
