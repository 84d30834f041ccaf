"""Convolution, its transpose and its gradients are adjoint to each other, on every engine."""

import attrs
import numpy as np
import pytest
from convserve.layers import ConvTranspose
from convserve.operations import ConvInputGradient, ConvWeightGradient
from convserve_server.engines import ENGINES, load_engine
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.random_cases import random_conv
from tests.running import run_once

randoms = st.randoms(use_true_random=False)
TOLERANCE = 1e-12  # of the sum of the absolute products


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return load_engine(request.param)


class Product:
    """Conv without bias on a random x and w: a bilinear form; and a y of its result's shape."""

    def __init__(self, engine, rng, dtype):
        case = random_conv(rng, dtype)
        self.layer = attrs.evolve(case.work.layers[0], name="conv", inputs=None, bias=False)
        (self.x,) = case.input_arrays().values()
        self.w = case.weight_arrays()["conv1.weight"]
        self.conv = run_once(engine, self.layer, {"input": self.x, "conv.weight": self.w})
        self.y = np.random.default_rng(len(self.conv)).normal(size=self.conv.shape).astype(dtype)
        fields = ("stride", "padding", "dilation", "groups")
        self.fields = {name: getattr(self.layer, name) for name in fields}

    def assert_equal(self, first, second):
        assert abs(first - second) <= TOLERANCE * np.sum(np.abs(self.conv * self.y))


@given(rng=randoms)
def test_conv_transpose_is_the_transpose_of_conv(engine, rng):
    product = Product(engine, rng, "float64")
    layer = ConvTranspose(
        product.x.shape[1],
        product.layer.kernel_size,
        output_size=product.x.shape[2:],
        bias=False,
        name="back",
        **product.fields,
    )
    back = run_once(engine, layer, {"input": product.y, "back.weight": product.w})
    product.assert_equal(np.vdot(product.y, product.conv), np.vdot(back, product.x))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@given(rng=randoms)
def test_the_input_gradient_is_the_adjoint_in_x(engine, dtype, rng):
    product = Product(engine, rng, dtype)
    operation = ConvInputGradient(input_shape=product.x.shape, **product.fields)
    gradient = run_once(engine, operation, {"grad_output": product.y, "weight": product.w})
    product.assert_equal(np.vdot(product.y, product.conv), np.vdot(gradient, product.x))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@given(rng=randoms)
def test_the_weight_gradient_is_the_adjoint_in_w(engine, dtype, rng):
    product = Product(engine, rng, dtype)
    operation = ConvWeightGradient(kernel_size=product.w.shape[2:], **product.fields)
    gradient = run_once(engine, operation, {"x": product.x, "grad_output": product.y})
    product.assert_equal(np.vdot(product.y, product.conv), np.vdot(gradient, product.w))
