"""The table of cases covers what it claims to."""

from collections import Counter

from convserve.layers import KINDS, kind_of
from convserve.networks import Network
from convserve.operations import OPERATIONS, operation_kind
from convserve.tensors import DTYPES

from tests.conformance.cases import CASES
from tests.conformance.layer_cases import RANKS

SPATIAL = set(KINDS) - {"dense"}
ONE_RANK = {"deform_conv": 2, "graph_conv": 1, "fold": 1}  # kinds that read nothing else


def covered():
    """Every (kind, spatial rank, dtype) of a case."""
    for case in CASES:
        rank = min(len(shape) for shape in case.inputs.values())
        if isinstance(case.work, Network):
            for layer in case.work.layers:
                yield kind_of(layer), rank - 2, case.dtype
        else:
            yield operation_kind(case.work), rank, case.dtype


def test_every_case_has_its_own_name():
    counts = Counter(case.name for case in CASES)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_kind_of_layer_meets_every_rank():
    seen = {(kind, rank) for kind, rank, _ in covered()}
    assert {(kind, rank) for kind in SPATIAL - ONE_RANK.keys() for rank in RANKS} <= seen
    assert ONE_RANK.items() <= seen
    assert "dense" in {kind for kind, _ in seen}


def test_every_operation_is_covered():
    assert set(OPERATIONS) <= {kind for kind, _, _ in covered()}


def test_every_dtype_meets_what_takes_all_of_them():
    seen = {(kind, dtype) for kind, _, dtype in covered()}
    takers = ("conv", "conv_transpose", "dense", "flatten", "concat", "pad", *OPERATIONS)
    assert {(kind, dtype) for kind in takers for dtype in DTYPES} <= seen


def kinds_where(holds):
    """The kinds of layers with a case for which `holds` is true."""
    networks = [case for case in CASES if isinstance(case.work, Network) and holds(case)]
    return {kind_of(layer) for case in networks for layer in case.work.layers}


def test_every_kind_meets_an_empty_batch():
    assert kinds_where(lambda case: 0 in next(iter(case.inputs.values()))) == set(KINDS)


def test_every_spatial_kind_meets_channels_last():
    assert kinds_where(lambda case: case.layout == "channels_last") >= SPATIAL


def test_tensors_are_the_same_at_every_call():
    case = next(case for case in CASES if case.weights)
    first, second = case.input_arrays(), case.input_arrays()
    assert all((first[name] == second[name]).all() for name in first)
