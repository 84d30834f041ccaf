"""Model files of text over a live server: who reads what."""

import json

import convserve_client as cs
import numpy as np
import pytest

from tests.model_texts import CFG, KERAS, OWN, PROTOTXT


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("net.cfg", CFG),
        ("net.prototxt", PROTOTXT),
        ("net.json", json.dumps(KERAS)),
        ("net.json", json.dumps(OWN)),
    ],
    ids=["darknet", "caffe", "keras", "own"],
)
def test_text_formats(server, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with cs.connect(server.address) as client:
        network = client.read_network(tmp_path / name)
        assert client.plan(network, (1, 3, 8, 8)).parameter_count == 4 * 27 + 4
        with pytest.raises(cs.InvalidNetworkError, match="weight"):
            client.run(network, np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '"x"', "9" * 5000, '[{"kind": 1}]'])
def test_what_is_no_network(server, tmp_path, text):
    (tmp_path / "net.json").write_text(text)
    with (
        cs.connect(server.address) as client,
        pytest.raises(cs.InvalidArgumentError) as caught,
    ):
        client.read_network(tmp_path / "net.json")
    assert caught.value.__notes__ == [f"while reading {tmp_path / 'net.json'}"]


def test_a_file_of_no_known_name_is_taken_for_json(server, tmp_path):
    (tmp_path / "net.pb").write_bytes(b"junk")
    why = pytest.raises(cs.InvalidArgumentError, match=r"not JSON.* end in \.onnx, ")
    with cs.connect(server.address) as client, why as caught:
        client.read_network(tmp_path / "net.pb")
    assert caught.value.field == str(tmp_path / "net.pb")
