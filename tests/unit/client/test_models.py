import numpy as np
import pytest
from convserve.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    ModelNotFoundError,
    UnreachableError,
)
from convserve.layers import Add, Conv
from convserve.networks import Network
from convserve.v1 import compute_service_pb2 as compute_pb2
from convserve_client._models import load, model

from tests.fakes.answers import inline, loaded, unloaded
from tests.fakes.driver import ScriptedDriver

X = np.ones((1, 1, 3), np.float32)
WEIGHTS = {"conv1.weight": np.ones((1, 1, 1), np.float32)}
GONE = ModelNotFoundError("no such model")


def load_model(*answers):
    driver = ScriptedDriver([loaded("m-1"), *answers])
    return driver, driver.drive(load(driver.session(), Conv(1, 1, bias=False), WEIGHTS))


def test_load_sends_the_network_and_its_weights() -> None:
    driver, model = load_model()
    name, [header, chunk], _ = driver.sent[0]
    assert name == "LoadModel"
    assert header.header.weights[0].name == "conv1.weight"
    assert chunk.chunk.data == WEIGHTS["conv1.weight"].tobytes()
    assert model.id == "m-1"


def test_a_call_sends_only_inputs() -> None:
    driver, model = load_model(inline(conv1=X))
    np.testing.assert_array_equal(driver.drive(model.run(X, None, None)), X)
    header = driver.sent[1][1][0].header
    assert header.model_id == "m-1"
    assert [spec.name for spec in header.tensors] == ["input"]


def test_a_lost_model_is_loaded_again_once() -> None:
    driver, model = load_model(GONE, loaded("m-2"), inline(conv1=X))
    driver.drive(model.run(X, None, None))
    assert [name for name, _, _ in driver.sent] == [
        "LoadModel", "RunInline", "LoadModel", "RunInline"
    ]  # fmt: skip
    assert model.id == "m-2"
    assert driver.locks[0].held == 1


def after(driver, seconds, answer):
    """The answer, `seconds` after it was asked for."""

    def respond(requests):
        driver.clock.now += seconds
        if isinstance(answer, Exception):
            raise answer
        return answer(requests)

    return respond


def test_the_timeout_bounds_the_call_with_its_reload() -> None:
    driver, model = load_model()
    driver.answer(after(driver, 4, GONE), after(driver, 3, loaded("m-2")), inline(conv1=X))
    driver.drive(model.run(X, 10.0, None))
    assert [timeout for _, _, timeout in driver.sent[1:]] == [10.0, 6.0, 3.0]


def test_a_reload_that_uses_up_the_timeout_ends_the_call() -> None:
    driver, model = load_model()
    driver.answer(after(driver, 4, GONE), after(driver, 6, loaded("m-2")))
    with pytest.raises(DeadlineExceededError, match="10 seconds"):
        driver.drive(model.run(X, 10.0, None))


def test_waiting_for_another_reload_counts() -> None:
    driver, model = load_model()
    call = model.run(X, 10.0, None)
    call.send(None)
    driver.clock.now += 4
    assert call.throw(GONE).timeout == 6.0


def test_a_model_lost_twice_is_an_error() -> None:
    driver, model = load_model(GONE, loaded("m-2"), GONE)
    with pytest.raises(ModelNotFoundError):
        driver.drive(model.run(X, None, None))


def test_callers_who_lost_a_model_together_load_it_once() -> None:
    driver, model = load_model(GONE, loaded("m-2"), inline(conv1=X), inline(conv1=X))
    late = model.run(X, None, None)
    late.send(None)  # has sent its request for m-1
    driver.drive(model.run(X, None, None))
    reload = late.throw(GONE)
    assert driver.drive(reload.flow) is None
    assert [name for name, _, _ in driver.sent].count("LoadModel") == 2


@pytest.mark.parametrize(
    "answer", [unloaded(), GONE, FailedPreconditionError("closed")], ids=["there", "gone", "closed"]
)
def test_close_may_be_repeated_and_never_fails(answer) -> None:
    driver, model = load_model(answer)
    driver.drive(model.close())
    driver.drive(model.close())
    assert [name for name, _, _ in driver.sent] == ["LoadModel", "UnloadModel"]


def test_a_lost_server_at_close_is_no_error() -> None:
    driver, model = load_model(UnreachableError("gone"), UnreachableError("gone"))
    driver.drive(model.close())
    assert model.closed


def test_a_closed_model_says_so() -> None:
    driver, model = load_model(unloaded())
    driver.drive(model.close())
    with pytest.raises(FailedPreconditionError, match="m-1 is closed"):
        driver.drive(model.run(X, None, None))


def test_several_inputs_need_names() -> None:
    network = Network([Add(inputs=("a", "b"))], inputs=("a", "b"))
    driver = ScriptedDriver([loaded("m-1")])
    model = driver.drive(load(driver.session(), network))
    with pytest.raises(InvalidArgumentError, match="a, b") as caught:
        driver.drive(model.run(X, None, None))
    assert caught.value.field == "x"


def listed(*names, token=""):
    """ListModels' response: models of two inputs."""
    models = [compute_pb2.Model(id=name, inputs=["a", "b"]) for name in names]
    return lambda _: [compute_pb2.ListModelsResponse(models=models, next_page_token=token)]


def test_a_model_that_is_there_is_found_by_its_id() -> None:
    driver = ScriptedDriver([listed("m-1", token="more"), listed("resnet"), inline(conv1=X)])
    found = driver.drive(model(driver.session(), "resnet"))
    assert found.id == "resnet"
    driver.drive(found.run({"a": X, "b": X}, None, None))
    assert driver.sent[-1][1][0].header.model_id == "resnet"
    with pytest.raises(InvalidArgumentError, match="a, b"):
        driver.drive(found.run(X, None, None))


def test_closing_a_model_that_is_not_ours_sends_nothing() -> None:
    driver = ScriptedDriver([listed("resnet")])
    driver.drive(driver.drive(model(driver.session(), "resnet")).close())
    assert [name for name, _, _ in driver.sent] == ["ListModels"]


def test_a_model_that_is_not_there_is_not_found() -> None:
    driver = ScriptedDriver([listed("m-1")])
    with pytest.raises(ModelNotFoundError, match="'resnet'") as caught:
        driver.drive(model(driver.session(), "resnet"))
    assert caught.value.field == "model_id"
