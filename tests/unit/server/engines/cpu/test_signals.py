"""Every algorithm against scipy.signal, forced by choosing lengths and methods."""

import numpy as np
import pytest
import scipy.signal
from convserve.operations import Convolve, Correlate
from convserve.tensors import dtype_of, empty, spec_of
from convserve_server.engines.cpu.crossover import fft_algorithm, fft_pays
from convserve_server.engines.cpu.engine import CpuEngine
from convserve_server.planning.planner import plan_operation

SHAPES = [
    ((9,), (4,)),
    ((4,), (9,)),
    ((5000,), (700,)),
    ((6, 7), (3, 2)),
    ((3, 2), (6, 7)),
    ((6, 3), (2, 5)),
    ((90, 80), (30, 20)),
    ((4, 5, 6), (2, 3, 2)),
    ((3, 4, 2, 3), (2, 2, 2, 2)),
]
TOLERANCES = {"float32": 1e-5, "complex64": 1e-5, "float64": 1e-12, "complex128": 1e-12}
OPERATIONS = {Convolve: scipy.signal.convolve, Correlate: scipy.signal.correlate}


@pytest.fixture(scope="module")
def engine():
    return CpuEngine()


def random(shape, dtype):
    generator = np.random.default_rng(0)
    if dtype.startswith("complex"):
        return generator.standard_normal((*shape, 2)).view(np.complex128)[..., 0].astype(dtype)
    if dtype.startswith("float"):
        return generator.standard_normal(shape).astype(dtype)
    return generator.integers(0, 100, shape).astype(dtype)


def run(engine, operation, a, v):
    step = plan_operation(operation, [spec_of("a", a), spec_of("v", v)])
    out = empty(step.output)
    (record,) = engine.run(step, {"a": a, "v": v}, {"output": out})
    return out, record.algorithm


def modes(shapes):
    a, v = shapes
    nested = all(n >= m for n, m in zip(a, v, strict=True)) or all(
        n <= m for n, m in zip(a, v, strict=True)
    )
    return ("full", "same", "valid") if nested else ("full", "same")


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
def test_floating_types(engine, kind, shapes, dtype, method):
    a, v = (random(shape, dtype) for shape in shapes)
    wide = np.result_type(dtype, np.float64)
    for mode in modes(shapes):
        out, algorithm = run(engine, kind(mode, method), a, v)
        expected = OPERATIONS[kind](a.astype(wide), v.astype(wide), mode, "direct")
        assert out.shape == expected.shape
        assert np.abs(out - expected).max() <= TOLERANCES[dtype] * np.abs(expected).max()
        if method != "auto":
            assert (algorithm in ("fft", "overlap_save")) == (method == "fft")


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("shapes", SHAPES[:6] + SHAPES[7:], ids=str)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_integers_wrap_as_in_scipy(engine, kind, shapes, dtype):
    a, v = (random(shape, dtype) for shape in shapes)
    for mode in modes(shapes):
        out, algorithm = run(engine, kind(mode), a, v)
        expected = OPERATIONS[kind](a, v, mode, "direct")
        np.testing.assert_array_equal(out, expected)
        assert algorithm not in ("fft", "overlap_save")


def test_integers_beyond_float64_wrap_exactly(engine):
    a, v = (np.full((3, 3), 2**62 + 1, np.int64) for _ in range(2))
    out, _ = run(engine, Convolve(), a, v)
    np.testing.assert_array_equal(out, scipy.signal.convolve(a, v, "full", "direct"))


def test_an_fft_of_integers_is_rounded(engine):
    a, v = random((500,), "int32"), random((40,), "int32")
    out, algorithm = run(engine, Convolve(method="fft"), a, v)
    np.testing.assert_array_equal(out, np.convolve(a, v))
    assert algorithm == "overlap_save"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_compute_in_float32(engine, dtype):
    a, v = (random((n,), "float32").astype(dtype_of(dtype)) for n in (300, 20))
    for method in ("direct", "fft"):
        out, _ = run(engine, Convolve(method=method), a, v)
        expected = np.convolve(a.astype(np.float64), v.astype(np.float64))
        assert out.dtype == dtype_of(dtype)
        error = np.abs(out.astype(np.float64) - expected).max() / np.abs(expected).max()
        assert error <= {"float16": 1e-3, "bfloat16": 8e-3}[dtype]


def test_the_crossover_is_data():
    assert not fft_pays("float32", (1 << 20,), (8,))
    assert fft_pays("float32", (1 << 20,), (4096,))
    assert not fft_pays("int32", (1 << 20,), (4096,))
    assert fft_algorithm((1 << 20,), (4096,)) == "overlap_save"
    assert fft_algorithm((4096,), (4096,)) == "fft"
    assert fft_algorithm((1024, 1024), (31, 31)) == "fft"
