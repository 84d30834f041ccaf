"""Importing as bytes: what another process answers is what was read."""

import numpy as np
import pytest
from convserve.codec import network_from_message
from convserve.errors import InvalidArgumentError, ShapeError, TooLargeError
from convserve.tensors import spec_from_message
from convserve.v1 import planning_service_pb2 as pb2
from convserve_server.planning.importers import formats
from convserve_server.planning.importers.task import decode_answer, import_network
from onnx import TensorProto, helper

from tests.onnx_models import make_model, node, read

CFG = b"[net]\nwidth=8\nheight=8\nchannels=3\n[maxpool]\nsize=2\nstride=2\n"


def test_the_answer_holds_everything():
    half = helper.make_tensor("h", TensorProto.FLOAT16, [3], [1.0, 2.0, 3.0])
    model = make_model(
        node("Gemm", "x b c", "y", beta=0.5),
        node("ConstantOfShape", "s", "f"),
        node("Div", "y f", "z"),
        inputs={"x": (1, 2)},
        constants={"b": np.ones((2, 3), np.float32), "s": np.array([3])},
        outputs=["z"],
    )
    model.graph.node.insert(0, node("Cast", "h", "c", to=TensorProto.FLOAT))
    model.graph.initializer.append(half)
    request = pb2.ImportNetworkHeader(file_name="a.onnx").SerializeToString()
    imported = read(model)
    answer = import_network(request, memoryview(model.SerializeToString()))
    response, weights = decode_answer(answer)
    assert weights == imported.weights
    assert len({type(weight.source) for weight in weights}) == 2
    assert network_from_message(response.network) == imported.network
    assert tuple(map(spec_from_message, response.inputs)) == imported.inputs
    assert tuple(response.notes) == imported.notes != ()


def test_shapes_are_for_onnx():
    shape = pb2.InputShape(shape=[-1, 4])
    header = pb2.ImportNetworkHeader(file_name="a.onnx", inputs=[shape])
    model = make_model(node("Relu", "x"), inputs={"x": (1, 3)})
    file = memoryview(model.SerializeToString())
    response, _ = decode_answer(import_network(header.SerializeToString(), file))
    assert list(response.inputs[0].shape) == [-1, 4]
    header.file_name = "a.cfg"
    with pytest.raises(InvalidArgumentError, match="darknet file are its own"):
        import_network(header.SerializeToString(), memoryview(CFG))
    header.inputs[0].shape[:] = [1, -4]
    with pytest.raises(ShapeError) as caught:
        import_network(header.SerializeToString(), file)
    assert caught.value.field == "inputs[0].shape[1]"


def test_a_long_text_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(formats, "MAX_TEXT_BYTES", 10)
    with pytest.raises(TooLargeError, match="limit of 10"):
        formats.read("darknet", memoryview(CFG), {})


@pytest.mark.parametrize(
    ("given", "name", "found"),
    [
        ("", "a.onnx", "onnx"),
        ("", "b/A.CFG", "darknet"),
        ("", "a.json", "keras"),
        ("", "a.b.prototxt", "caffe"),
        ("keras", "a.onnx", "keras"),
    ],
)
def test_formats(given, name, found):
    assert formats.format_of(given, name) == found
