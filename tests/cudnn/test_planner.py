"""cuDNN's own planner, without a GPU."""

import json
from functools import lru_cache

import pytest
from attrs import evolve
from convserve.errors import UnsupportedError
from convserve_server.planning.devices.properties import device_properties, property_devices
from convserve_server.planning.gpu import DIRECTIONS
from convserve_server.planning.kernels import MAX_IMAGE_ELEMENTS, Convolution, Policy, choose

from tests.cudnn.expected import CASES, PATH, choices

pytestmark = pytest.mark.cudnn
CONV = Convolution(
    "forward",
    "float32",
    (8, 16, 28, 28),
    (32, 16, 3, 3),
    (8, 32, 28, 28),
    (1, 1),
    ((1, 1), (1, 1)),
    (1, 1),
)
STRICT = Policy("strict", 1 << 30)
NO_BFLOAT16 = {"t4"}  # of compute capability 7.5


def new_planner(device="h200", **changes):
    from convserve_server.planners.cudnn.planner import CudnnPlanner

    return CudnnPlanner(evolve(device_properties(device), **changes))


planner = lru_cache(new_planner)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("dtype", "precision"), CASES)
def test_resnet50_on_an_h200(dtype, precision, direction):
    """Every convolution has a kernel, of the known workspace, and it is the same each time."""
    expected = json.loads(PATH.read_text())[f"{dtype} {precision} {direction}"]
    assert choices(planner(), dtype, precision, direction) == expected
    assert choices(new_planner(), dtype, precision, direction) == expected


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("device", property_devices())
def test_every_device_has_a_kernel_of_full_precision(device, dtype, direction):
    convolution = evolve(CONV, dtype=dtype, direction=direction)
    if dtype == "bfloat16" and device in NO_BFLOAT16:
        with pytest.raises(UnsupportedError, match="no engine"):
            planner(device).offer(convolution)
        return
    kernels = choose(planner(device).offer(convolution), dtype, direction, STRICT)
    (chosen,) = [kernel for kernel in kernels if kernel.chosen]
    assert "NONDETERMINISTIC" not in chosen.notes
    assert dtype != "float32" or "TENSOR_CORE" not in chosen.notes


CASES_OF_NOTES = [
    evolve(CONV, input=(2, 16, 9), weight=(8, 16, 3), output=(2, 8, 9), stride=(1,),
           padding=((1, 1),), dilation=(1,)),
    evolve(CONV, weight=(16, 1, 3, 3), output=(8, 16, 28, 28)),
    evolve(CONV, weight=(32, 4, 3, 3)),
    evolve(CONV, input=(1, 3, 64, 64), weight=(64, 3, 7, 7), output=(1, 64, 32, 32),
           stride=(2, 2), padding=((3, 2), (3, 2))),
    evolve(CONV, dilation=(2, 2), padding=((2, 2), (2, 2))),
    evolve(CONV, input=(2, 8, 6, 6, 6), weight=(16, 8, 3, 3, 3), output=(2, 16, 6, 6, 6),
           stride=(1,) * 3, padding=((1, 1),) * 3, dilation=(1,) * 3),
]  # fmt: skip


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_what_is_remembered_of_an_engines_notes_holds_for_every_shape(dtype, direction):
    for case in CASES_OF_NOTES:
        convolution = evolve(case, dtype=dtype, direction=direction)
        assert planner().offer(convolution) == new_planner().offer(convolution)


def test_the_notes_are_those_that_the_precision_hangs_on():
    notes = {note for plan in planner().offer(CONV).candidates for note in plan.notes}
    assert "TENSOR_CORE" in notes
    gradient = planner().offer(evolve(CONV, direction="weight_gradient", dtype="float16"))
    (unsteady,) = [c for c in gradient.candidates if c.engine == "eng20"]
    assert {"NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"} <= set(unsteady.notes)


@pytest.mark.parametrize(("rows", "engines"), [(8191, 5), (8192, 1)])
def test_from_2_to_the_31_elements_on_an_image_has_one_engine(rows, engines):
    sizes = (1, 64, 4096, rows), (64, 64, 1, 1), (1, 64, 4096, rows)
    convolution = Convolution("forward", "float16", *sizes, (1, 1), ((0, 0), (0, 0)), (1, 1))
    found = {c.engine for c in planner().offer(convolution).candidates if not c.failure}
    assert (convolution.image_elements >= MAX_IMAGE_ELEMENTS) == (engines == 1)
    assert (found == {"eng0"}) if engines == 1 else len(found) >= engines


def test_many_images_of_more_together_keep_their_engines():
    sizes = (17, 64, 2048, 1024), (64, 64, 1, 1), (17, 64, 2048, 1024)
    convolution = Convolution("forward", "float16", *sizes, (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert len({c.engine for c in planner().offer(convolution).candidates}) >= 5


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "int8"},
        {"input": (1,) * 6, "weight": (1,) * 6, "output": (1,) * 6, "stride": (1,) * 4,
         "padding": ((0, 0),) * 4, "dilation": (1,) * 4},
        {"input": (8, 16, 1 << 40, 28), "output": (8, 32, 1 << 40, 28)},
        {"output": (8, 32, 27, 27)},
    ],
)  # fmt: skip
def test_what_it_does_not_take_is_said(changes):
    with pytest.raises(UnsupportedError, match=r"cuDNN|library"):
        planner().offer(evolve(CONV, **changes))


def test_properties_for_another_version_are_refused():
    with pytest.raises(UnsupportedError, match=r"for cuDNN 9\.28\.1.* 9\.19\.0 is installed"):
        new_planner(for_cudnn="9.28.1.1")
