"""An engine that a caller steers by the first value of its input."""

import os
import signal

import numpy as np
from convserve.runs import StepRecord

WAIT, FAIL, DIE = -1.0, -2.0, -3.0
FIFO = "CONVSERVE_TEST_FIFO"
LIBRARY = "CONVSERVE_TEST_LIBRARY"
SECRET = "the key is in /srv/secret"


class Steered:
    """Copies its input to its output, unless the first value is WAIT, FAIL or DIE.

    WAIT opens the FIFO that the environment names, which tells whoever opens it for writing that
    the call runs, and goes on when they close it.
    """

    name = "steered"

    def __init__(self, threads=None):
        self._threads = threads

    def run(self, work, tensors, outputs, key="", precision="strict"):
        values = tensors[work.inputs[0].name]
        command = values.flat[0] if values.size else 0
        if command == WAIT:
            with open(os.environ[FIFO], "rb") as gate:
                gate.read()
        elif command == FAIL:
            raise RuntimeError(SECRET)
        elif command == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        for output in outputs.values():
            np.copyto(output, values)
        return (StepRecord(name=work.outputs[0], engine=self.name, algorithm="copy"),)

    def forget(self, key):
        """Nothing is kept."""


class NeedsLibrary(Steered):
    """Loads only while the file that the environment names exists."""

    def __init__(self, threads=None):
        open(os.environ[LIBRARY]).close()
        super().__init__(threads)


class WaitsForLibrary(Steered):
    """Loads for ever unless the file that the environment names exists at once."""

    def __init__(self, threads=None):
        if not os.path.exists(os.environ[LIBRARY]):
            signal.pause()
        super().__init__(threads)
