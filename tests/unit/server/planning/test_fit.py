"""Whether plans fit devices, up to which batch, and how long they take."""

from __future__ import annotations

import pytest
from convserve.layers import Conv, Dense, DepthwiseConv, Flatten, ReLU
from convserve.networks import Network
from convserve.tables import plan_table
from convserve.tensors import MAX_DIMENSION, TensorSpec
from convserve_server.engines.cpu.advice import CpuAdvisor
from convserve_server.planning.devices import host_profile, profiles
from convserve_server.planning.fit import Offer, check_fit, find_max_batch
from convserve_server.planning.memory import Moment
from convserve_server.planning.planner import plan_network
from convserve_server.planning.timing import TRAINING_FACTOR

from tests.networks import resnet50, vgg16
from tests.planning import plan

LAYERS = [Conv(8, 1, bias=False, name="wide"), ReLU(), Conv(1, 1, bias=False)]


def device(memory_bytes):
    return host_profile("tiny", "cpu", 1, memory_bytes)


def planned(memory_bytes, batch, **options):
    """The peak is 32 + 32 * 4 fixed bytes and 640 per sample."""
    return plan(LAYERS, (batch, 1, 10), profile=device(memory_bytes), max_batch=True, **options)


@pytest.mark.parametrize("batch", [-1, 1, 7])
@pytest.mark.parametrize(
    ("memory_bytes", "largest"),
    [(64 + 640, 1), (64 + 639, 0), (64 + 41 * 640, 41), (64 + 42 * 640 - 1, 41)],
)
def test_the_largest_batch_is_exact(memory_bytes, largest, batch):
    fit = planned(memory_bytes, batch).fit
    assert fit.max_batch == largest
    assert fit.memory_bytes == memory_bytes
    assert f"batch {largest + 1} needs" in fit.reason
    for size in (largest, largest + 1):
        alone = plan(LAYERS, (size, 1, 10), profile=device(memory_bytes)).fit
        assert alone.fits == (size <= largest)


def test_the_reason_has_the_numbers():
    fit = plan(
        LAYERS, (-1, 1, 1 << 20), profile=device(3 << 30), max_batch=True, workspace_bytes=1 << 30
    ).fit
    assert fit.max_batch == 31  # 32 would leave no room for 64 bytes of weights
    assert fit.peak_layer == "relu1"
    assert fit.reason == (
        "batch 32 needs 3.00 GiB at relu1, 64 B more than the 3.00 GiB of tiny: "
        "activations 2.00 GiB, workspace 1.00 GiB, weights 64 B"
    )


def test_what_does_not_fit_says_why():
    fit = plan(LAYERS, (2, 1, 10), profile=device(1000)).fit
    assert not fit.fits
    assert fit.max_batch is None
    assert fit.needed_bytes == 64 + 2 * 640
    assert fit.reason.startswith("batch 2 needs 1.31 KiB at relu1, 344 B more than the 1,000 B")


def test_training_fits_fewer():
    inference, training = (planned(1 << 20, 1, training=t).fit.max_batch for t in (False, True))
    assert 0 < training < inference


@pytest.mark.parametrize("largest", [0, 1, 2, 3, 100, 12_345, MAX_DIMENSION])
@pytest.mark.parametrize("odd", [0, 1, 3000])
def test_the_search_finds_any_largest_batch(largest, odd):
    def moments_at(batch):
        """A step whose workspace jumps, so that no first guess is right."""
        return [Moment("a", sample_bytes=100, workspace_bytes=odd if batch > 10 else 0)]

    offer = Offer("tiny", 100 * largest + (odd if largest > 10 else 0) + 50)
    fit = check_fit(moments_at(1)[0], 1, offer)
    found = find_max_batch(fit, moments_at, offer).max_batch
    sizes = [moments_at(n)[0].byte_count(n) for n in (found, found + 1)]
    assert sizes[0] <= offer.memory_bytes
    assert sizes[1] > offer.memory_bytes or found == MAX_DIMENSION


def test_the_search_asks_little():
    asked = []

    def moments_at(batch):
        asked.append(batch)
        return [Moment("a", weight_bytes=77, sample_bytes=1000)]

    offer = Offer("big", 10**12)
    fit = find_max_batch(check_fit(moments_at(1)[0], 1, offer), moments_at, offer)
    assert fit.max_batch == (10**12 - 77) // 1000
    assert len(asked) < 8


def test_what_does_not_grow_is_bounded():
    offer = Offer("any", 100)
    moment = Moment("a", weight_bytes=100)
    fit = find_max_batch(check_fit(moment, 1, offer), lambda _: [moment], offer)
    assert fit.max_batch == MAX_DIMENSION
    assert "the largest that can be" in fit.reason


def test_published_networks_on_an_l4():
    l4 = profiles()["l4"]
    fit = plan(vgg16(), (-1, 3, 224, 224), profile=l4, max_batch=True).fit
    weights, each = 4 * 138_357_544, 2 * 64 * 224 * 224 * 4
    assert fit.max_batch == (l4.memory_bytes - weights) // each
    half = plan(vgg16(), (-1, 3, 224, 224), dtype="float16", profile=l4, max_batch=True).fit
    assert half.max_batch == (l4.memory_bytes - weights // 2) // (each // 2)


def test_the_engine_decides_what_a_batch_needs():
    specs = [TensorSpec("", "float32", (1, 3, 224, 224))]
    found = plan_network(
        resnet50(), specs, advisor=CpuAdvisor(2), profile=device(4 << 30), max_batch=True
    )
    for batch, fits in ((found.fit.max_batch, True), (found.fit.max_batch + 1, False)):
        specs = [TensorSpec("", "float32", (batch, 3, 224, 224))]
        other = plan_network(resnet50(), specs, advisor=CpuAdvisor(2), profile=device(4 << 30))
        assert other.fit.fits == fits


def test_the_table_tells_it():
    text = plan_table(planned(64 + 41 * 640, -1))
    assert (
        "Fit              fits tiny up to batch 41, peak at layer relu1, because batch 42" in text
    )
    text = plan_table(planned(10, -1))
    assert "not even one sample fits tiny, because batch 1 needs" in text
    text = plan_table(plan(LAYERS, (1, 1, 10), profile=device(1 << 20)))
    assert "fits tiny with 704 B of 1.00 MiB" in text
    assert "Time " in text


def timed(layer, shape, name="h100", **options):
    return plan([layer], shape, profile=profiles()[name], **options).layers[0].time


def test_times_are_those_of_the_roofline():
    conv = timed(Conv(1024, 3, padding=1, bias=False), (64, 1024, 56, 56))
    flops = 2 * 64 * 1024 * 1024 * 9 * 56 * 56
    assert conv.seconds_low == pytest.approx(flops / 66.9e12)
    assert conv.seconds == pytest.approx(flops / 66.9e12 / 0.6 + 5e-6)
    assert conv.bound == "compute"
    relu = timed(ReLU(), (64, 1024, 56, 56))
    assert relu.seconds_low == pytest.approx(2 * 4 * 64 * 1024 * 56 * 56 / 3.35e12)
    assert relu.bound == "memory"
    assert timed(ReLU(), (1, 1, 8)).bound == "launch"
    for time in (conv, relu):
        assert time.seconds_low < time.seconds < time.seconds_high


def test_the_rate_is_that_of_type_and_precision():
    shape, layer = (64, 1024, 56, 56), Conv(1024, 3, padding=1, bias=False)
    strict = timed(layer, shape).seconds_low
    assert timed(layer, shape, precision="tf32").seconds_low == pytest.approx(strict * 66.9 / 494.7)
    half = timed(layer, shape, dtype="float16").seconds_low
    assert half == pytest.approx(strict * 66.9 / 989.4)
    assert (
        timed(layer, shape, "t4", precision="tf32").seconds_low
        == timed(layer, shape, "t4").seconds_low
    )
    assert timed(layer, shape, "t4", dtype="bfloat16") is None  # it has no such rate


def test_depthwise_convolutions_reach_less():
    plain = timed(Conv(64, 3, groups=1), (8, 64, 56, 56))
    for layer in (Conv(64, 3, groups=64), DepthwiseConv(3)):
        depthwise = timed(layer, (8, 64, 56, 56))
        assert (
            depthwise.seconds_high / depthwise.seconds_low > plain.seconds_high / plain.seconds_low
        )


def test_the_total_moves_inputs_and_results():
    layers = [Flatten(), Dense(10)]
    h100 = profiles()["h100"]
    planned = plan(layers, (8, 3, 500, 500), profile=h100)
    moved = (8 * 3 * 500 * 500 + 8 * 10) * 4
    assert planned.time.bound == "transfer"
    assert planned.time.seconds_low == pytest.approx(moved / 64e9)
    assert planned.time.seconds > sum(layer.time.seconds for layer in planned.layers)


def test_training_takes_three_times_as_long():
    times = [
        plan([Conv(8, 3), ReLU()], (64, 3, 99, 99), profile=device(1 << 40), training=t).time
        for t in (False, True)
    ]
    assert times[1].seconds == pytest.approx(TRAINING_FACTOR * times[0].seconds)


def test_fused_layers_take_no_time_of_their_own():
    specs = [TensorSpec("", "float32", (1, 3, 32, 32))]
    planned = plan_network(
        Network([Conv(8, 3), ReLU()]), specs, advisor=CpuAdvisor(2), profile=device(1 << 30)
    )
    assert planned.layers[1].fused_into == "conv1"
    assert planned.layers[1].time is None
    assert planned.layers[0].time is not None
