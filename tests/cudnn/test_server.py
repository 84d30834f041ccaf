"""Plans with cuDNN's kernels, through a server."""

import convserve_client as cs
import pytest
from convserve_client.cli import main

from tests.networks import resnet50
from tests.server import start_server

pytestmark = pytest.mark.cudnn


@pytest.fixture(scope="module")
def address():
    with start_server() as server:
        yield server.address


@pytest.fixture(scope="module")
def client(address):
    with cs.connect(address) as connected:
        yield connected


def chosen(layer, direction="forward"):
    (kernel,) = [k for k in layer.kernels if k.chosen and k.direction == direction]
    return kernel


def test_resnet50_has_an_algorithm_for_every_convolution(client):
    plan = client.plan(resnet50(), (32, 3, 224, 224), device="h200", kernels=True)
    convs = [layer for layer in plan.layers if layer.kind == "conv"]
    assert len(convs) == 53
    for layer in convs:
        assert (layer.engine, layer.algorithm) == ("cuda", f"cudnn {_engine(chosen(layer))}")
        assert layer.workspace_bytes == chosen(layer).workspace_bytes
        assert "TENSOR_CORE" not in chosen(layer).notes
        assert layer.quantization.multiprocessor_count == 132
        assert "cuDNN 9.19.0" in layer.algorithm_reason
    assert any("public attributes" in note for note in plan.notes)


def _engine(kernel):
    return kernel.name.partition("_")[0]


def test_precision_decides_about_tensor_cores(client):
    layer = cs.Conv(64, 3, padding=1)
    for precision, expected in (("strict", False), ("tf32", True)):
        plan = client.plan(
            layer, (32, 64, 56, 56), device="h200", kernels=True, precision=precision
        )
        assert ("TENSOR_CORE" in chosen(plan.layers[0]).notes) == expected


@pytest.mark.parametrize(
    "layer",
    [
        cs.ConvTranspose(16, 3, stride=2, padding=1, output_padding=1),
        cs.DepthwiseConv(3),
        cs.SubPixelConv(4, 3, 2, padding=1),
        cs.Conv(8, 3, padding=1, padding_mode="reflect"),
        cs.Conv(8, (3, 5), stride=2, padding=((0, 1), (2, 1)), groups=2),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_kind_of_convolution_has_a_kernel(client, layer, dtype):
    plan = client.plan(layer, (4, 16, 32, 32), dtype, device="l4", kernels=True)
    assert chosen(plan.layers[0]).name


def test_a_separable_convolution_has_two(client):
    plan = client.plan(cs.SeparableConv(32, 3), (4, 16, 32, 32), device="a100", kernels=True)
    assert len([k for k in plan.layers[0].kernels if k.chosen]) == 2
    assert plan.layers[0].algorithm.count("cudnn") == 2


def test_what_cudnn_does_not_do_is_a_note_and_no_error(client):
    plan = client.plan(cs.Conv(8, 3), (4, 16, 32, 32), "bfloat16", device="t4", kernels=True)
    (layer,) = plan.layers
    assert (layer.algorithm, layer.kernels) == ("", ())
    assert "no engine for it on this GPU" in layer.algorithm_reason
    assert any("not known" in note for note in plan.notes)


def test_the_command_prints_kernels(address, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONVSERVE_SERVER", address)
    path = tmp_path / "net.json"
    path.write_text('[{"kind": "conv", "out_channels": 64, "kernel_size": 3}]')
    arguments = ["plan", str(path), "--input", "8x64x56x56", "--device", "h200", "--kernels"]
    assert main(arguments) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "tensor cores" in x]
    assert line.split()[:2] == ["conv1", "forward"]
    assert main([*arguments, "--explain"]) == 0
    assert "chosen" in capsys.readouterr().out
