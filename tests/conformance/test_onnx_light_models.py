"""The nine networks of the onnx package: imported, planned, and run as ONNX Runtime runs them."""

import json
from pathlib import Path

import numpy as np
import pytest
from convserve_server.engines import load_engine
from convserve_server.planning.importers.onnx import read_onnx

from tests.conformance.light_models import NAMES, SMALL, compare, light_file
from tests.planning import plan

ROWS = json.loads(Path("tests/data/known_tables.json").read_text())["onnx_light_models"]["rows"]
KNOWN = {row["model"]: row for row in ROWS}


@pytest.mark.parametrize("name", NAMES)
def test_counts(name):
    imported = read_onnx(memoryview(light_file(name)))
    assert [spec.shape for spec in imported.inputs] == [(1, 3, 224, 224)]
    planned = plan(imported.network, (1, 3, 224, 224))
    layers = [layer for layer in planned.layers if layer.kind in ("conv", "dense")]
    assert planned.mac_count == KNOWN[name]["conv_and_fc_macs"]
    assert sum(layer.parameter_count for layer in layers) == KNOWN[name]["conv_and_fc_params"]
    assert sum(layer.kind == "conv" for layer in layers) == KNOWN[name]["conv_nodes"]
    weights = {weight.spec.name: weight.spec.shape for weight in imported.weights}
    assert weights == {spec.name: spec.shape for each in planned.layers for spec in each.parameters}


def test_every_network_of_the_table_is_here():
    assert set(NAMES) == set(KNOWN)


@pytest.mark.parametrize("name", SMALL)
def test_values(name):
    result, expected = compare(name, load_engine("cpu", threads=2))
    assert expected.std() > 1e-5
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
