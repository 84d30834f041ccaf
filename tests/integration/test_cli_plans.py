"""What the command makes of plans: formats, comparisons, pictures."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from convserve_client.cli import main

from tests.model_texts import CFG
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


def test_a_comparison_has_one_form(capsys):
    assert plan("large.json", "--against", "small.json", "--format", "csv") == 2
    assert "--against: a comparison has no --format" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "--format", "csv"], "--json prints JSON, not csv"),
        (["--explain", "--format", "csv"], "csv has no --explain"),
        (["--kernels", "--format", "markdown"], "markdown has no --explain and no --kernels"),
    ],
)
def test_views_that_exclude_one_another_are_refused(arguments, words, capsys):
    assert plan("small.json", *arguments) == 2
    assert f"--format: {words}" in capsys.readouterr().err


def test_the_network_without_shapes_is_named(capsys):
    Path("net.cfg").write_text(CFG)
    assert main(["plan", "net.cfg", "--against", "small.json"]) == 2
    assert "small.json does not tell the shapes of its inputs" in capsys.readouterr().err


def test_the_element_type_is_that_of_the_file_s_inputs(capsys):
    Path("net.cfg").write_text(CFG)
    assert main(["plan", "net.cfg", "--dtype", "float16"]) == 0
    assert "(N, 3, 8, 8) float16" in capsys.readouterr().out
    assert main(["plan", "net.cfg", "--dtype", "float33"]) == 2
    assert "dtype: 'float33' is not an element type" in capsys.readouterr().err


def test_a_text_without_end_is_not_read(capsys):
    assert plan("/dev/zero") == 1
    assert "/dev/zero: it has more bytes than the limit of 16777216 for text" in (
        capsys.readouterr().err
    )


def test_kernels_of_what_has_none(capsys):
    assert plan("small.json", "--kernels") == 0
    assert "Note             no kernels are listed: cpu is no GPU" in capsys.readouterr().out


def test_every_layer_is_explained(capsys):
    assert plan("small.json", "--explain") == 0
    assert "conv1 (conv) reads input, gives (1, 4, 6, 6) float32\n  " in capsys.readouterr().out


def test_plot(capsys):
    assert plan("small.json", "--plot", "plan.svg") == 0
    assert "Receptive field" in Path("plan.svg").read_text()
    assert capsys.readouterr().out.startswith("Layer")
    assert plan("small.json", "--plot", "plan.gif") == 2
    assert "'plan.gif' is no name for a picture" in capsys.readouterr().err
    assert plan("small.json", "--plot", "nowhere/plan.svg") == 2
    error = capsys.readouterr().err
    assert error.endswith("nowhere/plan.svg: cannot write it: No such file or directory\n")


def test_explain_plots_the_layer(capsys):
    layer = "nn.Conv2d(3, 8, 3, stride=2, padding=1)"
    assert main(["explain", layer, *INPUT, "--plot", "layer.svg"]) == 0
    assert "conv 3 × 3, stride 2, padding 1" in Path("layer.svg").read_text()
    assert main(["explain", "nn.Conv2d(3, 8, 9)", *INPUT, "--plot", "none.svg"]) == 2
    assert "nothing to draw" in capsys.readouterr().err
    assert not Path("none.svg").exists()
