import inspect

import convserve.layers
import convserve_client as cs
import pytest
from convserve.errors import ConvserveError, error_classes
from convserve.services import METHODS
from convserve_client import _calls

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


def test_every_rpc_has_its_exchange() -> None:
    source = inspect.getsource(_calls)
    assert [name for name in METHODS if f'"{name}"' not in source] == []
