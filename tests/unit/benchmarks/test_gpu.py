"""What the GPU's benchmark computes without a GPU: works, their least times, and its tables."""

import numpy as np
import pytest
import torch
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs

from tests.benchmarks import gpu
from tests.benchmarks.gpus import works
from tests.benchmarks.gpus.peer import run_nodes
from tests.benchmarks.gpus.results import Result, results_table
from tests.benchmarks.gpus.works import Work
from tests.fakes.host_device import HostPlans
from tests.networks import unet


def test_the_table_has_shares_ratios_and_means_of_each_kind():
    results = [
        Result("a", "bfloat16", 2e-3, "cudnn eng1", 1e-3, 4e-3, weight=3),
        Result("b", "bfloat16", 5e-5, "direct", 1e-5, 5e-5),
        Result("c", "float32", 1.5, "fft"),
    ]
    assert results_table(results).splitlines() == [
        "What  Type             Time  Roofline  Reached    torch  Faster  By",
        "a     bfloat16      2.00 ms   1.00 ms      50%  4.00 ms   2.00x  cudnn eng1",
        "b     bfloat16      50.0 us   10.0 us      20%  50.0 us   1.00x  direct",
        "c     float32   1,500.00 ms                                      fft",
        "geometric mean of bfloat16: 1.68x torch's speed, 40% of the roofline",
        "geometric mean of float32: no torch's speed, unknown share of the roofline",
    ]


def test_the_layers_are_all_of_resnet_50():
    layers = list(works.resnet_layers(32))
    kinds = {work.label for work in layers}
    assert kinds == {"bfloat16", "tf32", "float32"}
    for kind in kinds:
        assert sum(work.count for work in layers if work.label == kind) == 53
    assert layers[0].name == "7x7/2 3-64 @224, batch 32"


def test_the_roofline_is_that_of_the_device():
    (first, *_) = works.resnet_layers(256)
    assert first.least_seconds("h200") == pytest.approx(488.1e6 / 4.8e12, rel=0.01)


@pytest.mark.parametrize("work", [*works.networks(), *works.others()], ids=lambda work: work.name)
def test_all_works_are_computed_on_the_gpu_alone(work):
    program = compile_network(work.network, work.specs())
    records = lower(program, HostPlans(), {}).records
    assert {record.engine for record in records} == {"cuda"}


def test_a_name_that_there_is_not_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu", "layer"])
    with pytest.raises(SystemExit):
        gpu.main()
    assert "there is no layer; there are layers, networks" in capsys.readouterr().err


def test_torch_computes_the_same_network():
    work = Work("U-Net", unet(4, depth=2), (2, 3, 16, 16))
    tensors = work.tensors()
    program = compile_network(work.network, work.specs())
    (spec,) = work_outputs(program)
    expected = np.empty(spec.shape, np.float32)
    ReferenceEngine().run(program, tensors, {spec.name: expected})
    values = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    result = run_nodes(work.nodes(), values).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
