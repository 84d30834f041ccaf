"""Single layers and stacks whose numbers others have published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from convserve.layers import Conv, ConvTranspose

from tests.planning import plan

DEEPBENCH = json.loads(Path("tests/data/known_tables.json").read_text())["deepbench"]["rows"]


@pytest.mark.parametrize("set_name", sorted({row["set"] for row in DEEPBENCH}))
def test_deepbench(set_name):
    """Baidu's benchmark of convolutions: every output size, and the products of forward."""
    for row in (each for each in DEEPBENCH if each["set"] == set_name):
        layer = Conv(
            row["k"],
            (row["r"], row["s"]),
            stride=(row["stride_h"], row["stride_w"]),
            padding=(row["pad_h"], row["pad_w"]),
            bias=False,
        )
        planned = plan([layer], (row["n"], row["c"], row["h"], row["w"]))
        assert planned.output_shape == (row["n"], row["k"], row["out_h"], row["out_w"]), row
        assert planned.mac_count == row["fwd_macs"], row


@pytest.mark.parametrize("stacks", [1, 3])
def test_a_wavenet_sees_1023_samples_back_with_each_stack(stacks):
    """ibab/tensorflow-wavenet#259: kernels of 2, dilated 1, 2, 4, ... 512."""
    layers = [
        Conv(1, 2, dilation=2**n, padding="causal", bias=False)
        for _ in range(stacks)
        for n in range(10)
    ]
    field = plan(layers, (1, 1, 16000)).receptive_field
    assert field is not None
    assert (field.size, field.jump, field.start) == ((1023 * stacks + 1,), (1,), (-1023 * stacks,))


def test_tensorflows_same_is_not_half_of_the_kernel_with_a_stride():
    """taehoonlee/tensornets#25: 224 by 7 with stride 2 is padded by 2 and 3, not by 3 and 3."""
    (layer,) = plan([Conv(64, 7, stride=2, padding="same")], (1, 3, 224, 224)).layers
    assert layer.resolved.padding == ((2, 3), (2, 3))
    (other,) = plan([Conv(64, 7, stride=2, padding=3)], (1, 3, 224, 224)).layers
    assert layer.output_shape == other.output_shape


def test_a_transposed_layer_whose_stride_is_more_than_its_kernel():
    """Kernel 7, stride 16 on 14: 215 by PyTorch's rule, and Keras's 224 with output padding."""
    assert plan([ConvTranspose(1, 7, stride=16)], (1, 1, 14)).output_shape == (1, 1, 215)
    longer = ConvTranspose(1, 7, stride=16, output_padding=9)
    assert plan([longer], (1, 1, 14)).output_shape == (1, 1, 224)
