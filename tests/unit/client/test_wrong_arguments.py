"""Whatever is passed for an argument: a result or a ConvserveError, and no other error."""

import asyncio
import inspect

import convserve_client as cs
import numpy as np
import pytest
from convserve.layers import KINDS
from convserve_client import _models, _networks, _operations, _signals
from convserve_client._models import load

from tests.fakes.answers import inline, loaded
from tests.fakes.driver import ScriptedDriver

X = np.ones((1, 2, 4, 4), np.float32)
W = np.ones((2, 2, 3, 3), np.float32)
SENT = cs.CallCancelledError("the arguments were taken, which is all that is asked here")
JUNK = (
    None, True, -1, 0, 3, 2.5, 10**400, float("nan"), 1j, "", "x", "é\0", b"x", (), [None], ["x"],
    [[[1]]], {}, {"x": 1}, {1: X}, {2, 3}, object(), type, len, range(9), "f4,(",
    np.array(2), np.array(2.5), np.array([1, 2]), np.array(["x"]), np.array([[1, 2], [3, 4]]),
    np.ones((2, 2, 2)), np.float32(1), np.True_,
)  # fmt: skip
FLOWS = {
    _operations.conv: {"x": X, "weight": W},
    _operations.conv_transpose: {"x": X, "weight": W},
    _operations.pool: {"x": X},
    _operations.conv_input_gradient: {
        "grad_output": X, "weight": W, "input_shape": (1, 2, 6, 6)
    },
    _operations.conv_weight_gradient: {"x": X, "grad_output": X, "kernel_size": 3},
    _signals.convolve: {"a": X, "v": X},
    _signals.correlate: {"a": X, "v": X},
    _networks.run: {"network": cs.ReLU(), "x": X},
    _models.load: {"network": cs.ReLU()},
    _networks.plan: {"network": cs.ReLU(), "input_shape": (1, 2, 4, 4)},
    _models.models: {},
    _networks.info: {},
    _networks.devices: {},
}  # fmt: skip
WITHOUT_ARRAYS = (_models.load, _networks.plan, _models.models, _networks.info,
                  _networks.devices)  # fmt: skip
NEEDED = {"out_channels": 2, "kernel_size": 3, "out_features": 2, "padding": 1, "scale": 2,
          "factor": 2, "layers": [cs.ReLU()]}  # fmt: skip
NEEDED_WITHOUT_DEFAULT = {
    "size": 5, "groups": 2, "output_size": 4, "levels": (1, 2), "order": (2, 1), "shape": (-1,),
    "axis": 1, "axes": 1, "exponent": 2.0,
}  # fmt: skip


def parameters(functions):
    """Every function with each of its parameters' names."""
    pairs = [(f, name) for f in functions for name in inspect.signature(f).parameters]
    return [pytest.param(*pair, id=f"{pair[0].__name__}-{pair[1]}") for pair in pairs
            if pair[1] != "session"]  # fmt: skip


def escaped(call):
    """The errors that `call` raises on junk, other than ConvserveError."""
    errors = {}
    for index, junk in enumerate(JUNK):
        try:
            call(junk)
        except cs.ConvserveError:
            continue
        except Exception as error:  # whichever it is, it is the finding
            errors[f"{index}: {junk!r}"] = error
    return errors


@pytest.mark.parametrize(("flow", "name"), parameters(FLOWS))
def test_calls(flow, name):
    answer = SENT if flow in WITHOUT_ARRAYS else inline(y=X)

    def call(junk):
        driver = ScriptedDriver([answer])
        driver.drive(flow(driver.session(), **FLOWS[flow] | {name: junk}))

    assert escaped(call) == {}


@pytest.mark.parametrize("name", ["x", "timeout", "out"])
def test_models(name):
    def call(junk):
        driver = ScriptedDriver([loaded("m-1"), inline(y=X)])
        model = driver.drive(load(driver.session(), cs.ReLU()))
        driver.drive(model.run(**{"x": X, "timeout": None, "out": None} | {name: junk}))

    assert escaped(call) == {}


@pytest.mark.parametrize(("cls", "name"), parameters([*KINDS.values(), cs.Network, cs.TLS]))
def test_values(cls, name):
    signature = inspect.signature(cls).parameters
    needed = {key: NEEDED[key] for key in signature if key in NEEDED}
    needed |= {
        key: value
        for key, value in NEEDED_WITHOUT_DEFAULT.items()
        if key in signature and signature[key].default is inspect.Parameter.empty
    }
    assert escaped(lambda junk: cls(**needed | {name: junk})) == {}


@pytest.mark.parametrize("name", list(inspect.signature(cs.connect).parameters))
def test_connections(name):
    def blocking(junk):
        cs.connect(**{"address": "localhost:1"} | {name: junk}).close()

    def awaiting(junk):
        async def connect():
            client = await cs.connect_async(**{"address": "localhost:1"} | {name: junk})
            await client.close()

        asyncio.run(connect())

    assert escaped(blocking) == {}
    assert escaped(awaiting) == {}


@pytest.mark.parametrize(
    ("name", "junk"),
    [("threads", "2"), ("threads", 0), ("tensor_pool_bytes", 1.5), ("timeout", "1")],
)
def test_local_servers(name, junk):
    with pytest.raises(cs.InvalidArgumentError) as caught:
        cs.local(**{name: junk})
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"device": 3}, "device"),
        ({"precision": None}, "precision"),
        ({"layout": 7}, "layout"),
        ({"batch_invariant": "no"}, "batch_invariant"),
        ({"timeout": "x"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"activation": ["relu"]}, "activation"),
        ({"padding_mode": 5}, "padding_mode"),
        ({"groups": 0}, "groups"),
        ({"weight": W[:0]}, "weight"),
    ],
)
def test_the_error_names_its_argument(arguments, field):
    driver = ScriptedDriver()
    with pytest.raises(cs.InvalidArgumentError) as caught:
        driver.drive(_operations.conv(driver.session(), **{"x": X, "weight": W} | arguments))
    assert caught.value.field == field


@pytest.mark.parametrize("groups", [0, -1, 1.5, "2", True])
@pytest.mark.parametrize(
    "flow",
    [flow for flow in FLOWS if "groups" in inspect.signature(flow).parameters],
    ids=lambda flow: flow.__name__,
)
def test_wrong_groups_are_named_before_what_depends_on_them(flow, groups):
    driver = ScriptedDriver()
    with pytest.raises(cs.InvalidLayerError) as caught:
        driver.drive(flow(driver.session(), **FLOWS[flow], groups=groups))
    assert caught.value.field == "groups"


@pytest.mark.parametrize("priority", [-101, 101, True, 1.5])
def test_a_priority_is_an_integer_from_minus_100_to_100(priority):
    with pytest.raises(cs.InvalidArgumentError) as caught:
        cs.connect("localhost:1", priority=priority)
    assert caught.value.field == "priority"
