"""The command, against a live server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage
import scipy.signal
from convserve_client.cli import main

from tests.server import RunningServer, start_server

NETWORK = [
    {"kind": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"},
    {"kind": "relu"},
    {"kind": "max_pool", "kernel_size": 2},
]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with start_server() as running:
        yield running


@pytest.fixture(autouse=True)
def home(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and the server as the default one."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.address)
    monkeypatch.chdir(tmp_path)
    Path("net.json").write_text(json.dumps(NETWORK))
    return tmp_path


def test_plan_prints_the_table(capsys) -> None:
    assert main(["plan", "net.json", "--input", "Nx3x8x8", "--explain"]) == 0
    output = capsys.readouterr().out
    assert "conv 3×3" in output
    assert "(N, 4, 4, 4)" in output
    assert "conv1 (conv)" in output


def test_kernels_of_a_gpu_are_not_known_without_its_library(capsys) -> None:
    arguments = ["--device", "h200", "--kernels", "--precision", "tf32"]
    assert main(["plan", "net.json", "--input", "2x3x8x8", *arguments]) == 0
    output = capsys.readouterr().out
    assert "pip install 'convserve-server[cudnn]'" in output
    assert output.endswith("no kernels are known: the notes above say why\n")


def test_plan_as_json(capsys) -> None:
    assert main(["plan", "net.json", "--input", "Nx3x8x8", "--json", "--explain"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["outputs"][0]["shape"] == ["N", 4, 4, 4]
    assert plan["layers"][0]["resolved"]["kind"] == "conv"
    assert plan["layers"][0]["explanation"]
    assert plan["receptive_field"]["jump"] == [2, 2]
    assert plan["parameter_count"] == 4 * 3 * 9 + 4


def test_run_writes_the_result(capsys) -> None:
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.random((1, 3, 8, 8), np.float32))
    weights = {"conv1.weight": rng.random((4, 3, 3, 3)), "conv1.bias": rng.random(4)}
    np.savez("w.npz", **{name: array.astype(np.float32) for name, array in weights.items()})
    command = ["run", "net.json", "--input", "x.npy", "--weights", "w.npz", "-o", "y.npy", "--json"]
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["outputs"] == {"max_pool1": {"shape": [1, 4, 4, 4], "dtype": "float32"}}
    assert answer["record"]["steps"][0]["name"] == "conv1"
    assert np.load("y.npy").shape == (1, 4, 4, 4)


def test_run_counts_steps_that_ran_alike(capsys) -> None:
    Path("chain.json").write_text(json.dumps([{"kind": "pad", "padding": 1}] * 6))
    np.save("x.npy", np.ones((1, 1, 2), np.float32))
    assert main(["run", "chain.json", "--input", "x.npy", "-o", "y.npy"]) == 0
    assert "6 steps by cpu" in capsys.readouterr().out


def test_run_with_several_inputs_and_outputs(capsys) -> None:
    network = {
        "inputs": ["a", "b"],
        "layers": [
            {"kind": "add", "inputs": ["a", "b"], "name": "sum"},
            {"kind": "relu", "inputs": ["a"], "name": "file"},
        ],
    }
    Path("graph.json").write_text(json.dumps(network))
    np.save("a.npy", np.float32([[[-1, 2]]]))
    np.save("b.npy", np.float32([[[10, 20]]]))
    command = ["run", "graph.json", "--input", "a=a.npy", "--input", "b=b.npy", "-o"]
    assert main([*command, "y.npy"]) == 2
    assert ".npz" in capsys.readouterr().err
    assert main([*command, "y.npz"]) == 0
    with np.load("y.npz") as results:
        np.testing.assert_array_equal(results["sum"], [[[9, 22]]])
        np.testing.assert_array_equal(results["file"], [[[0, 2]]])


def test_conv_of_a_picture_with_a_named_kernel(capsys) -> None:
    pixels = np.zeros((8, 10, 3), np.uint8)
    pixels[:, 5:] = 200
    PIL.Image.fromarray(pixels).save("photo.png")
    assert main(["conv", "photo.png", "--kernel", "sobel-x", "-o", "edges.png"]) == 0
    with PIL.Image.open("edges.png") as picture:
        edges = np.asarray(picture)
    assert edges.shape == pixels.shape
    np.testing.assert_array_equal(edges[:, 4:6], np.full((8, 2, 3), 255))
    np.testing.assert_array_equal(edges[:, :4], 0)
    assert "edges.png: output (1, 3, 8, 10) float32" in capsys.readouterr().out


def test_conv_with_a_weight_of_a_file() -> None:
    x = np.random.default_rng(0).random((1, 1, 6, 7))
    weight = np.random.default_rng(1).random((1, 1, 3, 3))
    np.save("x.npy", x)
    np.save("w.npy", weight)
    command = ["conv", "x.npy", "--weight", "w.npy", "-o", "y.npy", "--padding", "0:2,1"]
    assert main(command) == 0
    padded = np.pad(x[0, 0], ((0, 2), (1, 1)))
    expected = scipy.signal.correlate(padded, weight[0, 0], "valid")
    np.testing.assert_allclose(np.load("y.npy")[0, 0], expected)


def test_a_gaussian_keeps_the_size_and_repeats_the_edges() -> None:
    x = np.random.default_rng(0).random((1, 5, 6)).astype(np.float32)
    np.save("x.npy", x)
    assert main(["conv", "x.npy", "--kernel", "gaussian", "-o", "y.npy"]) == 0
    taps = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    expected = scipy.ndimage.correlate(x[0], taps, mode="nearest")
    np.testing.assert_allclose(np.load("y.npy")[0], expected, rtol=1e-5)


def test_convolve() -> None:
    np.save("a.npy", [1.0, 2.0, 3.0])
    np.save("v.npy", [1.0, 1.0])
    assert main(["convolve", "a.npy", "v.npy", "--mode", "same", "-o", "c.npy"]) == 0
    np.testing.assert_array_equal(np.load("c.npy"), [1.0, 3.0, 5.0])


@pytest.mark.parametrize("command", ["info", "devices"])
def test_what_a_server_is(command, capsys) -> None:
    assert main([command]) == 0
    assert "cpu" in capsys.readouterr().out
    assert main([command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    devices = document["devices"] if command == "info" else document
    assert devices[0]["name"] == "cpu"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["plan", "net.json", "--input", "1x3x0x8"], "0"),
        (["plan", "net.json", "--input", "1x3x8x8", "--device", "abacus"], "abacus"),
        (["plan", "net.json", "--input", "a=1x3x8x8", "--input", "a=1x3x8x8"], "--input"),
        (["run", "net.json", "--input", "x.npy", "-o", "y.npy"], "conv1.weight"),
        (["conv", "x.npy", "--kernel", "box", "--groups", "3", "-o", "y.npy"], "--weight"),
        (["conv", "x.npy", "--kernel", "box", "-o", "no/y.npy"], "no/y.npy"),
        (["conv", "x.npy", "--kernel", "box", "-o", "y.tiff"], "y.tiff"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(arguments, text, capsys) -> None:
    np.save("x.npy", np.ones((1, 3, 8, 8), np.float32))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert text in error


def test_without_a_server_one_is_started() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convserve_client", "devices"],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cpu" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m convserve_client plan net.json --input 1x3x8x8 | true"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
