import inspect

import convserve.layers
import convserve_client as cs
import numpy as np
import pytest
from convserve.errors import ConvserveError, InternalError, error_classes
from convserve.layers import ReLU
from convserve.services import METHODS
from convserve_client import _explain, _imported, _models, _networks, _operations, _tiles

from tests.fakes.answers import loaded, unloaded
from tests.fakes.driver import ScriptedDriver

OPERATIONS = (
    "conv", "conv_transpose", "pool", "conv_input_gradient", "conv_weight_gradient", "convolve",
    "correlate", "run",
)  # fmt: skip


def test_the_list_of_names_is_whole() -> None:
    assert len(cs.__all__) == len(set(cs.__all__))
    public = {name for name, value in vars(cs).items() if not inspect.ismodule(value)}
    assert {name for name in public if not name.startswith("__")} <= set(cs.__all__)


def test_every_layer_and_every_error_is_there() -> None:
    layers = {layer.__name__ for layer in convserve.layers.KINDS.values()}
    errors = {error.__name__ for error in error_classes(ConvserveError)}
    assert layers | errors <= set(cs.__all__)


def test_both_clients_have_the_same_methods() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert names(cs.Client) == names(cs.AsyncClient)
    assert names(cs.Model) == names(cs.AsyncModel)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_every_operation_takes(name: str) -> None:
    parameters = inspect.signature(getattr(cs.Client, name)).parameters
    assert next(iter(parameters)) == "self"
    defaults = {
        "device": None, "precision": "strict", "layout": "channels_first",
        "batch_invariant": False, "timeout": None, "out": None,
    }  # fmt: skip
    assert {key: parameters[key].default for key in defaults} == defaults


def test_methods_carry_the_documentation_of_their_flow() -> None:
    assert "(K, C / groups, *kernel)" in (cs.Client.conv.__doc__ or "")
    assert inspect.signature(cs.Client.load).return_annotation == "Model"
    assert inspect.signature(cs.AsyncClient.conv).return_annotation == "Array"


def test_every_rpc_is_sent_by_some_method(tmp_path) -> None:
    (tmp_path / "net.cfg").write_text("[net]")
    driver = ScriptedDriver([loaded("m-1"), unloaded(), *[InternalError("enough")] * 10])
    session, small, large = driver.session(), np.ones((1, 1, 4)), np.ones((1, 1, 1 << 18))
    driver.drive(driver.drive(_models.load(session, ReLU())).close())
    for flow in (
        _operations.pool(session, small),
        _operations.pool(session, large),
        _imported.read_network(session, tmp_path / "net.cfg"),
        _networks.plan(session, ReLU(), (1, 2)),
        _explain.explain(session, ReLU(), (1, 2)),
        _explain.find_layers(session, 4, 2),
        _tiles.tiles(session, ReLU(), (1, 2, 3), memory_limit="1KiB"),
        _models.models(session),
        _networks.info(session),
        _networks.devices(session),
    ):
        with pytest.raises(InternalError):
            driver.drive(flow)
    opened = {"Lease"}  # by the drivers themselves, for as long as memory is shared
    assert {name for name, _, _ in driver.sent} == set(METHODS) - opened
