"""ConvTranspose of a size that is told: one reading of files and of texts, and the result of it."""

from itertools import product

import numpy as np
import pytest
from attrs import evolve
from convserve.layers import ConvTranspose
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.dialects import read_layer
from convserve_server.planning.dialects.comparing import render
from convserve_server.planning.layers import RULES

from tests.onnx_models import make_model, node, read, results_of, runtime_results

LENGTH = 4
MODES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
WINDOWS = [(k, s, d) for k, s, d in product((1, 2, 3, 5), (1, 2, 3), (1, 2)) if k > 1 or d == 1]


def attributes_of(mode, window, extra, size):
    """A node's attributes; those that say nothing are left out."""
    kernel, stride, dilation = window
    given = {
        "auto_pad": mode,
        "kernel_shape": [kernel],
        "strides": [stride],
        "dilations": [dilation],
        "output_padding": [extra] if extra else None,
        "output_shape": [size] if size else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def sizes_of(window):
    """From three less than the whole result up to the largest that ONNX Runtime takes."""
    kernel, stride, dilation = window
    whole = (LENGTH - 1) * stride + dilation * (kernel - 1) + 1
    return [None, *range(max(1, whole - 3), whole + stride)]


def fills_in(mode, window, extra, size):
    """Whether SAME has to add elements: ONNX Runtime then makes less than L * stride."""
    kernel, stride, dilation = window
    return mode.startswith("SAME") and not size and dilation * (kernel - 1) + 1 + extra < stride


def cases(mode):
    """Windows, output_padding and output_shape."""
    for window, extra in product(WINDOWS, (0, 1)):
        for size in sizes_of(window):
            if extra < window[1] and not fills_in(mode, window, extra, size):
                yield window, extra, size


def resolved(layer):
    """Its numbers for the input."""
    rule = RULES[ConvTranspose]
    return rule.resolve(evolve(layer, name=None, inputs=None), ((1, LENGTH),))


def runtime_row(reading):
    """What is said of ONNX Runtime."""
    rows = render(reading.layer, reading.words, (1, LENGTH), 1, everyone=True)
    return next(row for row in rows if row.runtime == "onnxruntime")


@pytest.mark.parametrize("mode", MODES)
def test_files_and_texts_say_the_same_and_compute_what_onnx_runtime_does(mode):
    x = {"x": np.arange(8, dtype=np.float32).reshape(2, 1, LENGTH)}
    for window, extra, size in cases(mode):
        attributes = attributes_of(mode, window, extra, size)
        weight = np.arange(1, 1 + window[0], dtype=np.float32)[None, None]
        model = make_model(
            node("ConvTranspose", "x w", **attributes),
            inputs={"x": (2, 1, LENGTH)},
            constants={"w": weight},
        )
        [layer] = read(model).network.layers
        text = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
        reading = read_layer(f"ConvTranspose({text}, B=0)", "", 1, (LENGTH,))
        assert resolved(reading.layer) == resolved(layer), text
        [expected] = runtime_results(model, x)
        [result] = results_of(model, ReferenceEngine(), x)
        np.testing.assert_allclose(result, expected, err_msg=text)
        row = runtime_row(reading)
        assert (row.outcome, row.output_shape[-1]) == ("same", expected.shape[-1]), text
