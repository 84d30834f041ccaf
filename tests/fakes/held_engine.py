"""The CPU engine, which a caller can hold by the first value of an input."""

import os

from convserve_server.engines.cpu.engine import CpuEngine

from tests.fakes.wire_engine import FIFO

HOLD = -12345.0


class HeldCpu(CpuEngine):
    """Computes; where the input begins with HOLD, only once the FIFO has been opened and closed."""

    def run(self, work, tensors, outputs, key="", precision="strict"):
        first = next(iter(tensors.values()))
        if first.size and first.flat[0] == HOLD:
            with open(os.environ[FIFO], "rb") as gate:
                gate.read()
        return super().run(work, tensors, outputs, key, precision)
