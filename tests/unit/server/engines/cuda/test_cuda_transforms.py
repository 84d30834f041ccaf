"""What cuFFT is given for a transform, and how long its plans stay."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from convserve_server.engines.cuda import cuda_transforms
from convserve_server.engines.cuda.cuda_transforms import PLAN_BYTES, Transforms
from convserve_server.engines.cuda.recipe import Transform
from convserve_server.engines.cuda.views import new_view

REAL = new_view("x", "float32", (3, 5, 16))
SPECTRUM = new_view("y", "complex64", (3, 5, 9))
WORKSPACE = new_view("w", "uint8", (1024,))
FORWARD = Transform("r2c", 1, REAL, SPECTRUM, WORKSPACE)
BACKWARD = Transform("c2r", 1, SPECTRUM, REAL, WORKSPACE, inverse=True)


class FakeCupy:
    """CuPy's transforms, as far as they are called. Every plan asks for `wants` bytes."""

    def __init__(self, wants=512):
        self.plans = []
        self.ran = []
        self.allocated = []
        cufft = SimpleNamespace(
            CUFFT_R2C="r2c", CUFFT_C2R="c2r", CUFFT_FORWARD=-1, CUFFT_INVERSE=1, PlanNd=self._plan
        )
        self.cuda = SimpleNamespace(
            cufft=cufft,
            using_allocator=self._using,
            UnownedMemory=lambda address, size, owner, device: (address, size),
            MemoryPointer=lambda memory, offset: memory,
        )
        self._wants = wants

    def ndarray(self, shape, dtype, memptr):
        return shape, str(dtype), *memptr

    def get_default_memory_pool(self):
        return SimpleNamespace(malloc=lambda size: ("the library's own", size))

    @contextmanager
    def _using(self, allocate):
        self.allocated.append(allocate(self._wants))
        yield

    def _plan(self, sizes, *rest):
        self.plans.append((sizes, *rest))
        return SimpleNamespace(fft=lambda *arguments: self.ran.append(arguments))


@contextmanager
def stream():
    yield


def test_rows_are_transformed_at_their_addresses():
    transforms = Transforms(cupy := FakeCupy())
    transforms.run(FORWARD, 10, 20, 30, stream())
    transforms.run(BACKWARD, 20, 10, 30, stream())
    layout = (None, 1, 0)
    assert cupy.plans == [
        ((16,), *layout, *layout, "r2c", 15, "C", 0, 16),
        ((16,), *layout, *layout, "c2r", 15, "C", 0, 16),
    ]
    x, y = ((3, 5, 16), "float32", 10, 960), ((3, 5, 9), "complex64", 20, 1080)
    assert cupy.ran == [(x, y, -1), (y, x, 1)]
    assert cupy.allocated == [(30, 1024)] * 2


def test_a_plan_works_in_the_memory_that_it_was_made_for():
    transforms = Transforms(cupy := FakeCupy())
    for workspace in (30, 30, 40, 30):
        transforms.run(FORWARD, 10, 20, workspace, stream())
    assert cupy.allocated == [(30, 1024), (40, 1024)]


@pytest.mark.parametrize(("wants", "plans"), [(1024, 3), (1025, 4)])
def test_plans_are_bounded_with_what_the_library_takes_itself(monkeypatch, wants, plans):
    monkeypatch.setattr(cuda_transforms, "PLANS_BYTES", 2 * PLAN_BYTES)
    transforms = Transforms(cupy := FakeCupy(wants))
    for workspace in (1, 2, 1, 3):
        transforms.run(FORWARD, 10, 20, workspace, stream())
    assert len(cupy.plans) == plans


def test_whoever_runs_plans_again_has_them():
    transforms = Transforms(FakeCupy())
    transforms.run(FORWARD, 10, 20, 30, stream())
    with transforms.noting() as noted:
        transforms.run(BACKWARD, 10, 20, 30, stream())
        transforms.run(FORWARD, 10, 20, 30, stream())
    assert len(noted) == 2
    transforms.run(FORWARD, 10, 20, 30, stream())
    assert len(noted) == 2
