"""The table of methods."""

from convserve.services import METHODS, SERVICES


def test_the_table_holds_every_method():
    assert SERVICES == ("convserve.v1.ComputeService", "convserve.v1.PlanningService")
    assert METHODS["Run"].path == "/convserve.v1.ComputeService/Run"
    assert METHODS["Run"].client_streaming
    assert METHODS["Run"].server_streaming
    assert not METHODS["RunInline"].client_streaming
    assert METHODS["LoadModel"].client_streaming
    assert not METHODS["LoadModel"].server_streaming


def test_every_method_has_messages_of_its_own():
    requests = [method.request.DESCRIPTOR.name for method in METHODS.values()]
    responses = [method.response.DESCRIPTOR.name for method in METHODS.values()]
    assert requests == [f"{name}Request" for name in METHODS]
    assert responses == [f"{name}Response" for name in METHODS]
