"""Device profiles: every figure has a unit, a source and a date, and they agree with each other."""

from __future__ import annotations

import json
import math
import re

import pytest
from attrs import evolve
from convserve_server.planning.devices import (
    CPU,
    GPU,
    UNITS,
    efficiency,
    gpu_profile,
    host_profile,
    profiles,
)
from convserve_server.planning.devices.properties import device_properties

GPUS = ["a10", "a100", "h100", "h200", "l4", "l40s", "rtx4090", "rtx5090", "t4"]
RATES = ("fp32_rate", "tf32_rate", "fp16_rate", "bf16_rate", "int8_rate")


def test_the_devices_that_can_be_planned_for():
    assert [name for name, each in profiles().items() if each.kind == GPU] == GPUS
    assert sum(each.kind == CPU for each in profiles().values()) == 3


@pytest.mark.parametrize("name", profiles())
def test_every_figure_says_where_it_is_from(name):
    profile = profiles()[name]
    assert profile.name == name
    for figure in profile.figures.values():
        assert figure.unit == UNITS[figure.name]
        assert re.match(
            "vendor|whitepaper|product|derived|assumed|CUDA|AMD|Intel|total|public", figure.source
        )
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", figure.date)
    assert 0.85 <= profile.memory_bytes / profile.value("memory") < 1
    seen = profile.device()
    assert not seen.available
    assert seen.memory_bytes == profile.memory_bytes
    assert len(seen.figures) == len(profile.figures)


@pytest.mark.parametrize("name", GPUS)
def test_the_rates_of_gpus_follow_from_cores_and_clocks(name):
    value = profiles()[name].value
    cores, clock = value("multiprocessors"), value("clock")
    assert value("fp32_rate") == pytest.approx(2 * cores * value("fp32_lanes") * clock, rel=0.01)
    for rate in RATES[1:]:
        if value(rate) is None:
            continue  # Turing has neither TF32 nor bfloat16
        per_clock = value(rate) / cores / (value("tensor_clock") or clock)
        assert per_clock == pytest.approx(2 ** round(math.log2(per_clock)), rel=0.02), rate
    known = [value(rate) for rate in RATES if value(rate)]
    assert known == sorted(known)


@pytest.mark.parametrize("name", GPUS)
def test_profiles_agree_with_the_properties_for_cudnn(name):
    value, properties = profiles()[name].value, json.loads(device_properties(name).text)
    assert value("multiprocessors") == properties["multiProcessorCount"]
    assert value("clock") == 1000 * properties["smClockRateKHz"]
    assert value("l2_cache") == properties["l2CacheSize"]
    assert value("memory") == pytest.approx(properties["totalGlobalMem"], rel=0.12)  # less ECC bits


@pytest.mark.parametrize("name", [n for n, each in profiles().items() if each.kind == CPU])
def test_the_rates_of_cpus_follow_from_cores_and_clocks(name):
    value = profiles()[name].value
    assert value("fp32_rate") == value("cores") * value("clock") * value("fp32_flops_per_clock")
    assert value("fp64_rate") == value("fp32_rate") / 2


def test_the_servers_own_processors_are_as_measured():
    two, four = (host_profile("cpu", "cpu", threads, 1 << 30) for threads in (2, 4))
    assert two.memory_bytes == 1 << 30
    assert four.value("fp32_rate") == 2 * two.value("fp32_rate")
    assert "measured" in two.figures["fp32_rate"].source


@pytest.mark.parametrize("kind", [GPU, CPU])
def test_efficiencies_are_shares(kind):
    found = efficiency()[kind]
    for name in ("convolution", "depthwise", "elementwise", "transfer"):
        assert 0 < found[name]["least"] <= found[name]["estimate"] <= 1
    assert 0 < found["launch_seconds"]["estimate"] <= found["launch_seconds"]["most"] < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": 0.0}, "needs a value"),
        ({"source": ""}, "needs a value"),
        ({"date": "yesterday"}, "needs a value"),
        ({"unit": "GB"}, "no known figure"),
        ({"name": "speed"}, "no known figure"),
    ],
)
def test_figures_are_checked(change, message):
    profile = profiles()["l4"]
    wrong = evolve(profile.figures["usable_memory"], **change)
    with pytest.raises(ValueError, match=message):
        evolve(profile, figures={"usable_memory": wrong})


def test_a_device_without_memory_is_refused():
    with pytest.raises(ValueError, match="usable_memory is missing"):
        evolve(profiles()["l4"], figures={})


@pytest.mark.parametrize(
    ("description", "model"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Tesla T4", "t4"),
        ("NVIDIA L40S", "l40s"),
    ],
)
def test_a_gpu_of_the_server_has_the_figures_of_its_model(description, model):
    profile = gpu_profile("cuda:0", "cuda", description, 1 << 30)
    assert (profile.name, profile.kind, profile.memory_bytes) == ("cuda:0", GPU, 1 << 30)
    for name, figure in profiles()[model].figures.items():
        assert name == "usable_memory" or profile.figures[name] == figure


def test_of_a_gpu_without_a_profile_nothing_but_its_memory_is_known():
    profile = gpu_profile("cuda:0", "cuda", "NVIDIA L40", 1 << 30)
    assert profile.figures.keys() == {"usable_memory"}
