import pytest
from convserve.services import METHODS, SERVICES
from convserve_server.services.explaining import ExplainingService
from convserve_server.services.handlers import handlers_of
from convserve_server.services.importing import ImportService
from convserve_server.services.info import InfoService
from convserve_server.services.leases import LeaseService
from convserve_server.services.planning import PlanningService
from convserve_server.services.residents import ModelService
from convserve_server.services.runs import RunService
from convserve_server.services.tiles import TilesService

SERVICERS = {
    "convserve.v1.ComputeService": (RunService, ModelService, LeaseService, InfoService),
    "convserve.v1.PlanningService": (
        *(PlanningService, ExplainingService, TilesService, ImportService),
    ),
}


class Details:
    """What gRPC asks a handler for."""

    def __init__(self, method):
        self.method = method
        self.invocation_metadata = ()


def test_every_service_has_servicers():
    assert set(SERVICERS) == set(SERVICES)


@pytest.mark.parametrize("name", METHODS)
def test_every_rpc_has_a_handler_of_its_arity(name):
    method = METHODS[name]
    handlers = handlers_of(method.service, *SERVICERS[method.service])
    handler = handlers.service(Details(method.path))
    assert handler.request_streaming is method.client_streaming
    assert handler.response_streaming is method.server_streaming
    assert handlers.service(Details(method.path + "x")) is None
