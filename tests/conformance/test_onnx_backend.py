"""ONNX's own node tests, which `onnx` generates: shapes by the planner, values by both engines.

What is a weight to us is a graph input there; here it becomes an initializer.
"""

import warnings

import numpy as np
import pytest
from convserve.errors import UnsupportedError
from convserve.tensors import spec_of
from convserve_server.engines import ENGINES, load_engine
from convserve_server.planning.importers.onnx import read_onnx
from convserve_server.planning.planner import plan_network
from onnx.backend.test.case.node import collect_testcases

from tests.onnx_models import run_imported, with_constants
from tests.planning import FixedAdvisor

# operator -> how many tests there are of it alone
COUNTS = {
    "Conv": 6,
    "ConvTranspose": 11,
    "ConvInteger": 2,
    "QLinearConv": 1,
    "DeformConv": 4,
    "Col2Im": 5,
    "MaxPool": 19,
    "AveragePool": 20,
    "LpPool": 8,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "MaxUnpool": 2,
    "Resize": 39,
    "Upsample": 1,
    "Pad": 6,
    "BatchNormalization": 4,
    "InstanceNormalization": 2,
    "GroupNormalization": 2,
    "LRN": 2,
    "DepthToSpace": 2,
    "SpaceToDepth": 4,
}
# positions of the inputs that are no constants, where that is not the first one alone
INPUTS = {"DeformConv": (0, 2, 4), "MaxUnpool": (0, 1)}

_FRACTION = "the factor times the size is no whole number, so that a size cannot say the same"
_REGION = "cuts a region out, which Upsample does not"
_ANTIALIAS = "antialias, for shrinking, is not done"
_EXCLUDED = "exclude_outside is not done"
_STATISTICS = "training: computes the statistics of the batch"
NOT_DONE = {
    "test_batchnorm_example_training_mode": _STATISTICS,
    "test_batchnorm_epsilon_training_mode": _STATISTICS,
    "test_resize_downsample_scales_nearest": _FRACTION,
    "test_resize_downsample_scales_linear": _FRACTION,
    "test_resize_downsample_scales_linear_align_corners": _FRACTION,
    "test_resize_downsample_scales_cubic": _FRACTION,
    "test_resize_downsample_scales_cubic_align_corners": _FRACTION,
    "test_resize_downsample_scales_linear_half_pixel_symmetric": _FRACTION,
    "test_resize_upsample_scales_linear_half_pixel_symmetric": _FRACTION,
    "test_resize_downsample_sizes_nearest_not_smaller": _FRACTION,
    "test_resize_upsample_scales_cubic_A_n0p5_exclude_outside": _EXCLUDED,
    "test_resize_downsample_scales_cubic_A_n0p5_exclude_outside": _EXCLUDED,
    "test_resize_tf_crop_and_resize": _REGION,
    "test_resize_tf_crop_and_resize_extrapolation_value": _REGION,
    "test_resize_tf_crop_and_resize_axes_2_3": _REGION,
    "test_resize_tf_crop_and_resize_axes_3_2": _REGION,
    "test_resize_downsample_scales_linear_antialias": _ANTIALIAS,
    "test_resize_downsample_sizes_linear_antialias": _ANTIALIAS,
    "test_resize_downsample_scales_cubic_antialias": _ANTIALIAS,
    "test_resize_downsample_sizes_cubic_antialias": _ANTIALIAS,
}


@pytest.fixture(scope="module")
def cases():
    """Operator -> its tests, by name."""
    with warnings.catch_warnings():  # of the generator's own arithmetic
        warnings.simplefilter("ignore")
        generated = collect_testcases(None)
    found = {operator: {} for operator in COUNTS}
    for case in generated:
        (first, *others) = case.model.graph.node
        if not others and first.op_type in COUNTS:
            found[first.op_type][case.name] = case
    return found


def split(case):
    """A test's file, its inputs by their places, and its results."""
    (node,) = case.model.graph.node
    arrays, results = case.data_sets[0]
    values = dict(zip((each.name for each in case.model.graph.input), arrays, strict=True))
    given = [node.input[n] for n in INPUTS.get(node.op_type, (0,)) if n < len(node.input)]
    constants = {name: array for name, array in values.items() if name not in given}
    file = with_constants(case.model, constants).SerializeToString()
    return file, [np.asarray(values[name]) for name in given if name], results


def check(case, engine):
    file, inputs, results = split(case)
    imported = read_onnx(memoryview(file))
    expected = dict(zip(imported.network.outputs, map(np.asarray, results), strict=True))
    planned = plan_network(imported.network, imported.inputs, advisor=FixedAdvisor())
    assert planned.outputs == tuple(spec_of(name, array) for name, array in expected.items())
    named = {spec.name: array for spec, array in zip(imported.inputs, inputs, strict=True)}
    for name, array in run_imported(engine, imported, file, named).items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-7, err_msg=case.name)


@pytest.mark.parametrize("operator", COUNTS)
def test_every_test_of_an_operator_is_known(operator, cases):
    assert len(cases[operator]) == COUNTS[operator]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operator", COUNTS)
def test_shapes_and_values(operator, engine, cases):
    loaded = load_engine(engine, threads=1)
    done = [case for name, case in cases[operator].items() if name not in NOT_DONE]
    assert done
    for case in done:
        check(case, loaded)


@pytest.mark.parametrize("name", NOT_DONE)
def test_what_is_not_done_is_refused(name, cases):
    (case,) = (found[name] for found in cases.values() if name in found)
    file, _, _ = split(case)
    with pytest.raises(UnsupportedError):
        read_onnx(memoryview(file))
