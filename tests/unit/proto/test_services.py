"""The table of methods."""

from convserve.services import METHODS, SERVICES, arity_of


def test_the_table_holds_every_method():
    assert SERVICES == ("convserve.v1.ComputeService", "convserve.v1.PlanningService")
    assert METHODS["Run"].path == "/convserve.v1.ComputeService/Run"
    assert METHODS["Run"].client_streaming
    assert METHODS["Run"].server_streaming
    assert not METHODS["RunInline"].client_streaming
    assert METHODS["LoadModel"].client_streaming
    assert not METHODS["LoadModel"].server_streaming


def test_arities_are_called_as_grpc_does():
    arities = {name: METHODS[name].arity for name in ("Run", "RunInline", "LoadModel")}
    assert arities == {
        "Run": "stream_stream",
        "RunInline": "unary_unary",
        "LoadModel": "stream_unary",
    }
    assert arity_of(client_streaming=False, server_streaming=True) == "unary_stream"


def test_every_method_has_messages_of_its_own():
    requests = [method.request.DESCRIPTOR.name for method in METHODS.values()]
    responses = [method.response.DESCRIPTOR.name for method in METHODS.values()]
    assert requests == [f"{name}Request" for name in METHODS]
    assert responses == [f"{name}Response" for name in METHODS]
