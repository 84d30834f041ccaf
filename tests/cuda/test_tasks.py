"""Plans and kernels as a server has them built: in planner processes, through the folder."""

import asyncio
import subprocess
import sys

import pytest
from convserve_server.engines.cuda.graphs import ConvGraph
from convserve_server.engines.cuda.kernels import all_instances
from convserve_server.engines.cuda.plan_keys import BuildTarget
from convserve_server.engines.cuda.plan_store import PlanStore, StoredPlans
from convserve_server.planners.pool import PlannerPool
from convserve_server.planners.preparing import Preparer
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Policy

from tests.cuda.cases import LIMIT, convolution

pytestmark = pytest.mark.cuda
H200 = device_properties("h200")
STRICT = Policy("strict", LIMIT)
RELU = ConvGraph(convolution(2, "float16"), bias=True, activation="relu")
PLAIN = ConvGraph(convolution(3, "bfloat16", "groups", "stride", "input_gradient"))
KERNEL = next(all_instances())


async def prepare(folder, told):
    pool = PlannerPool(processes=2, seconds=120.0)
    try:
        preparer = Preparer(pool, PlanStore(folder, LIMIT), H200, 2, told)
        return await preparer.prepare([RELU, PLAIN], [KERNEL], STRICT)
    finally:
        await pool.stop()


def test_a_worker_finds_what_the_front_had_built(tmp_path):
    sources = []

    def tell(what, source, seconds):
        sources.append(source)

    for expected in ("built", "disk"):  # the second server finds what the first one kept
        sources.clear()
        plans = asyncio.run(prepare(tmp_path, tell))
        assert sources == [expected] * 3
        stored = StoredPlans(PlanStore(tmp_path, LIMIT), BuildTarget(H200, STRICT))
        for graph in (RELU, PLAIN):
            assert stored.find(graph) == plans.find(graph)
            assert stored.find(graph).blob
        kernel = stored.kernel(KERNEL)
        assert kernel.blob.startswith(b"\x7fELF")
        assert "0 bytes spilled" in kernel.notes


def test_the_front_loads_nothing_of_cuda():
    program = """
import sys
import convserve_server.planners.preparing, convserve_server.serving
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"cudnn", "cupy", "cupy_backends", "pynvml"}, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)
