"""Which of a library's kernels is taken, and why the others are not."""

import pytest
from convserve_server.planning.kernels import Candidate, Convolution, Offer, Policy, choose

LIMIT = 1000
FAST = Candidate("eng67_k2=1", 131, ("TENSOR_CORE",))
LARGE = Candidate("eng46_k2=4", LIMIT + 1)
LOOSE = Candidate("eng25", 0, ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"))
ROUNDED = Candidate("eng9", 0, ("DOWN_CONVERT_INPUTS", "TENSOR_CORE"))
ODD = Candidate("eng7_k3=2", 0, ("WINOGRAD",))
BROKEN = Candidate("eng2", failure="CUDNN_STATUS_NOT_SUPPORTED")
PLAIN = Candidate("eng28_k2=4_k3=0", LIMIT)
SLOW = Candidate("eng0", 0, ("STRICT_NAN_PROP",))
ALL = (BROKEN, LOOSE, ROUNDED, FAST, ODD, LARGE, PLAIN, SLOW)


def kernels(precision, *candidates, dtype="float32"):
    offer = Offer("cuDNN 9.19.0", candidates or ALL)
    return choose(offer, dtype, "forward", Policy(precision, LIMIT))


def chosen(*args, **more):
    return [kernel.name for kernel in kernels(*args, **more) if kernel.chosen]


@pytest.mark.parametrize(
    ("precision", "dtype", "name"),
    [
        ("strict", "float32", PLAIN.name),
        ("tf32", "float32", FAST.name),
        ("bfloat16", "float32", ROUNDED.name),
        ("float16", "float32", ROUNDED.name),
        ("strict", "float16", FAST.name),
        ("strict", "bfloat16", FAST.name),
        ("strict", "float64", FAST.name),
    ],
)
def test_the_first_that_may_be_used_is_chosen(precision, dtype, name):
    assert chosen(precision, dtype=dtype) == [name]


def test_each_of_the_others_has_its_reason():
    reasons = {kernel.name: kernel.rejected_because for kernel in kernels("strict")}
    assert reasons == {
        BROKEN.name: "the library cannot: CUDNN_STATUS_NOT_SUPPORTED",
        LOOSE.name: "its sums may differ from run to run",
        ROUNDED.name: "strict: it rounds the operands to a half type",
        FAST.name: "strict: tensor cores round float32 to TF32",
        ODD.name: "strict: Winograd's transforms lose digits",
        LARGE.name: "its workspace of 1001 bytes is above the limit of 1000",
        PLAIN.name: "",
        SLOW.name: f"ranked below {PLAIN.name}",
    }


def test_they_keep_the_librarys_order_and_numbers():
    found = kernels("strict")
    assert [kernel.rank for kernel in found] == list(range(len(ALL)))
    assert [kernel.workspace_bytes for kernel in found] == [c.workspace_bytes for c in ALL]
    assert [kernel.notes for kernel in found] == [c.notes for c in ALL]


@pytest.mark.parametrize("precision", ["strict", "tf32", "bfloat16", "float16"])
def test_sums_are_never_made_in_less_than_float32_nor_in_any_order(precision):
    half_sums = Candidate("eng47", 0, ("REDUCED_PRECISION_REDUCTION", "TENSOR_CORE"))
    assert chosen(precision, LOOSE, half_sums, dtype="float16") == []


def test_there_may_be_none():
    found = kernels("strict", FAST, BROKEN)
    assert not any(kernel.chosen for kernel in found)
    assert all(kernel.rejected_because for kernel in found)


def test_the_elements_of_an_image_are_those_of_its_larger_side():
    sizes = (7, 3, 10, 10), (5, 3, 1, 1), (7, 5, 10, 10)
    more = ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert Convolution("forward", "float32", *sizes, *more).image_elements == 500
