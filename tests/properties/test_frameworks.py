"""Thousands of layers, each written in every framework's words and carried out there.

What the comparison says of a framework is what it does: the same shape, or a refusal; and where it
says that a layer is the same there, the shape is the planner's. Values too, along one axis.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from attrs import evolve
from convserve_server.planning.dialects import DIALECTS
from convserve_server.planning.dialects.comparing import render
from convserve_server.planning.dialects.dialect import RefusedError
from convserve_server.planning.dialects.words import POOLS, TRANSPOSED
from convserve_server.planning.layers import rule_of

from tests.frameworks import ASK
from tests.properties.random_words import random_words

COUNT = 3000
BLOCKS = 10
TOLD = {"torch", "keras", "onnx_infer", "onnxruntime", "jax", "scipy", "numpy"}
# An empty transposed result: PyTorch refuses it or gives it, by the kernel that it picks.
DEPENDS = "Calculated output size: (0)"
RUNTIMES = {each.name: each for dialect in DIALECTS.values() for each in dialect.runtimes}

pytestmark = pytest.mark.filterwarnings("ignore")  # of the frameworks


def tensors(words, shape, seed):
    """Small integers: sums of them are exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, (1, *shape)).astype("float32")
    if words.kind in POOLS:
        return x, None
    groups = words.in_channels if words.kind == "depthwise_conv" else words.groups
    counts = (words.result_channels, shape[0] // groups)
    if words.kind == TRANSPOSED:
        counts = (shape[0], words.out_channels // groups)
    return x, rng.integers(-3, 4, (*counts, *words.kernel_size)).astype("float32")


def carried_out(row, x, w):
    """The shape of what the framework itself gives, or "refused"."""
    try:
        result = ASK[row.runtime](row.spelling, x, w)
    except Exception:  # whatever a framework raises
        return "refused"
    return tuple(result if isinstance(result, tuple) else result.shape)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_frameworks_do_what_is_said_of_them(block):
    seen = Counter()
    for seed in range(block * COUNT // BLOCKS, (block + 1) * COUNT // BLOCKS):
        words, shape = random_words(random.Random(seed))
        layer = words.layer()
        x, w = tensors(words, shape, seed)
        for row in render(layer, words, shape, 1, everyone=True):
            if row.runtime in TOLD and DEPENDS not in row.message:
                found = carried_out(row, x, w)
                expected = "refused" if row.outcome == "refused" else row.output_shape
                assert found == expected, f"seed {seed}: {row}"
                if row.outcome == "same":
                    assert row.output_shape[2:] == planned(layer, shape), f"seed {seed}: {row}"
                seen[row.runtime] += 1
    assert seen.keys() == TOLD


def planned(layer, shape):
    rule = rule_of(layer)
    return rule.output_shape(rule.resolve(layer, (shape,)), (shape,))[1:]


@pytest.mark.parametrize("name", sorted(TOLD - {"onnx_infer", "jax"}))
def test_values_follow_from_where_the_windows_are(name):
    dialect = next(each for each in DIALECTS.values() if RUNTIMES[name] in each.runtimes)
    seen = 0
    for seed in range(600):
        words, shape = random_words(random.Random(seed))
        if shape[0] != 1 or len(shape) != 2 or words.kind not in RUNTIMES[name].rules:
            continue
        words = words if words.kind in POOLS else one_channel(words)
        x, w = tensors(words, shape, seed)
        for row in render(words.layer(), words, shape, 1, everyone=True):
            if row.runtime == name and row.outcome not in ("refused", "inexpressible"):
                [placement] = RUNTIMES[name].place(words, shape)
                found = ASK[name](row.spelling, x, w)[0, 0]
                expected = by_hand(words, x[0, 0], None if w is None else w[0, 0], placement)
                if expected is not None:
                    np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=row.spelling)
                    seen += 1
    assert seen > 20, dialect.name


def one_channel(words):
    return evolve(words, groups=1, out_channels=1, in_channels=1)


def by_hand(words, x, w, placement):
    """The values along one axis; None where a window has nothing, or a mean its own divisor."""
    if words.kind == TRANSPOSED:
        return transposed_by_hand(words, x, w, placement)
    taps = range(words.kernel_size[0])
    starts = [i * words.stride[0] - placement.low for i in range(placement.size)]
    rows = [[start + tap * words.dilation[0] for tap in taps] for start in starts]
    if words.kind == "avg_pool":
        return None
    inside = [[(tap, i) for tap, i in enumerate(row) if 0 <= i < len(x)] for row in rows]
    if words.kind == "max_pool":
        if not all(inside):
            return None
        return [max(x[i] for _, i in row) for row in inside]
    return [sum(w[tap] * x[i] for tap, i in row) for row in inside]


def transposed_by_hand(words, x, w, placement):
    stride, dilation = words.stride[0], words.dilation[0]
    full = Counter()
    for i, value in enumerate(x):
        for tap, weight in enumerate(w):
            full[i * stride + tap * dilation] += value * weight
    return [full[placement.low + i] for i in range(placement.size)]


def test_a_refusal_is_one_exception():
    words, shape = random_words(random.Random(3))
    with pytest.raises(RefusedError):
        RUNTIMES["torch"].place(words, (shape[0], *(0 for _ in shape[1:])))
