"""Every conformance case over the wire: through the client, and some of each kind in a stream."""

import attrs
import convserve_client as cs
import pytest
from convserve.codec import network_to_message, operation_to_message
from convserve.layers import kind_of
from convserve.networks import Network
from convserve.operations import operation_kind

from tests.conformance.case import reference_results
from tests.conformance.cases import CASES
from tests.conformance.tolerances import assert_agree
from tests.wire import arrays_of_stream, call, header_of, stream


@pytest.fixture(scope="module")
def client(server):
    with cs.connect(server.address) as connected:
        yield connected


def through_client(client, case):
    """The results of a case by name, from the call that a user would make."""
    if isinstance(case.work, Network):
        results = client.run(
            case.work, case.input_arrays(), case.weight_arrays(), layout=case.layout
        )
        return results if isinstance(results, dict) else {case.work.outputs[0]: results}
    fields = attrs.asdict(case.work, recurse=False)
    operation = getattr(client, operation_kind(case.work))
    return {"output": operation(*case.input_arrays().values(), **fields)}


def through_stream(channel, case):
    """The results of a case by name, from Run, where the client would send so little inline."""
    tensors = case.input_arrays() | case.weight_arrays()
    to_message = network_to_message if isinstance(case.work, Network) else operation_to_message
    header = header_of(to_message(case.work), tensors, layout=f"LAYOUT_{case.layout.upper()}")
    return arrays_of_stream(call(channel, "Run", *stream(header, tensors.values())))


def of_each_kind():
    """The first case of each kind of work, element type and layout."""
    firsts = {}
    for case in CASES:
        if isinstance(case.work, Network):
            kind = tuple(kind_of(layer) for layer in case.work.layers)
        else:
            kind = operation_kind(case.work)
        firsts.setdefault((kind, case.dtype, case.layout), case)
    return firsts.values()


def assert_same(results, case):
    expected = reference_results(case)
    assert results.keys() == expected.keys()
    for name in expected:
        assert_agree(results[name], expected[name])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_client_agrees_with_the_reference(client, case):
    assert_same(through_client(client, case), case)


@pytest.mark.parametrize("case", of_each_kind(), ids=lambda case: case.name)
def test_stream_agrees_with_the_reference(channel, case):
    assert_same(through_stream(channel, case), case)
