"""Work for the GPU's engine on a device of host memory that counts what it is given."""

import numpy as np
from convserve.layers import Conv, ReLU
from convserve.networks import Network
from convserve.tensors import TensorSpec, empty
from convserve_server.engines.base import Views
from convserve_server.engines.cuda.engine import CudaEngine
from convserve_server.engines.reference.engine import ReferenceEngine
from convserve_server.planning.planner import compile_network
from convserve_server.planning.program import work_outputs
from convserve_server.planning.tiling import rebatched

from tests.fakes.host_device import HostDevice, HostLane, HostPlans

CHANNELS, SIZE = 8, 12
NETWORK = Network([Conv(CHANNELS, 3, padding=1, name="conv"), ReLU(name="relu")])
WEIGHTS = {"conv.weight": (CHANNELS, CHANNELS, 3, 3), "conv.bias": (CHANNELS,)}


class CountingLane(HostLane):
    """Counts what it is given."""

    def __init__(self, counts):
        super().__init__()
        self._counts = counts

    def upload(self, *arguments):
        self._count("upload")
        super().upload(*arguments)

    def record(self, give):
        self._count("record")
        return super().record(give)

    def replay(self, replay):
        self._count("replay")
        super().replay(replay)

    def _count(self, name):
        self._counts[name] = self._counts.get(name, 0) + 1


class CountingDevice(HostDevice):
    """A device whose lanes count what they are given."""

    def __init__(self, byte_count=1 << 20):
        super().__init__(byte_count)
        self.counts = {}
        self.poison()

    def lane(self):
        return CountingLane(self.counts)

    def counted(self, name):
        """How often it was given since the last call."""
        return self.counts.pop(name, 0)


def program(rows=1, size=SIZE, dtype="float32", network=NETWORK):
    specs = [TensorSpec("input", dtype, (rows, CHANNELS, size, size))]
    specs += [TensorSpec(name, dtype, shape) for name, shape in WEIGHTS.items()]
    return compile_network(network, specs)


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights(seed=1):
    return {name: random(shape, seed) for name, shape in WEIGHTS.items()}


def views(work, given, seed=0, rows=None):
    """One part: an input made of a seed, and outputs full of NaN."""
    shape = work.inputs[0].shape if rows is None else (rows, *work.inputs[0].shape[1:])
    (spec,) = work_outputs(work)
    output = np.full((shape[0], *spec.shape[1:]), np.nan, np.float32)
    return Views({"input": random(shape, seed), **given}, {spec.name: output})


def expected(work, part):
    rows = len(part.tensors["input"])
    (spec,) = work_outputs(work := rebatched(work, rows))
    result = empty(spec)
    ReferenceEngine().run(work, part.tensors, {spec.name: result})
    return result


def check(work, part):
    (result,) = part.outputs.values()
    np.testing.assert_allclose(result, expected(work, part), rtol=1e-4, atol=1e-5)


def make_engine(device=None, plans=None, lanes=3):
    device = device or CountingDevice()
    shelf = plans or HostPlans()
    return CudaEngine(device, lambda precision: (shelf,), lanes)


def finish(running):
    running.wait()
    return running.finish()


def memory_of(work, byte_count=1 << 20):
    """The bytes that the work takes beside its weights, and those of the weights."""
    engine = make_engine(CountingDevice(byte_count))
    finish(engine.begin(work, [views(work, weights())], "key"))
    lasting = byte_count - engine.free_bytes
    held = engine.begin(work, [views(work, weights())], "key")
    working = byte_count - lasting - engine.free_bytes
    finish(held)
    return working, lasting
