"""An engine with lanes whose work a caller steers by the first value of its input.

It computes nothing before `finish`: it adds 1 to the input.
"""

import os
import signal
import threading

import numpy as np
from convserve.errors import ShapeError
from convserve.runs import StepRecord
from convserve_server.engines.base import DeviceFacts, DeviceLostError, Views

WAIT, REFUSE, DIE, LOSE = -1.0, -2.0, -3.0, -4.0
FIFO = "CONVSERVE_TEST_FIFO"


class Begun:
    """Work in progress. With WAIT it is done when the FIFO has been opened and closed."""

    def __init__(self, engine, parts, precision, commands):
        self._engine = engine
        self._parts = parts
        self._precision = precision
        self._commands = commands
        self._wait_once = threading.Lock()
        self._is_done = False

    def wait(self):
        with self._wait_once:
            if WAIT in self._commands and not self._is_done:
                with open(os.environ[FIFO], "rb") as gate:
                    gate.read()
            self._is_done = True
        if LOSE in self._commands:
            raise DeviceLostError("an illegal address was accessed")

    def finish(self):
        self._engine.ended(self)
        if REFUSE in self._commands:
            raise ShapeError("one of them is not wanted")
        if LOSE in self._commands:
            raise DeviceLostError("an illegal address was accessed")
        for part in self._parts:
            values = next(iter(part.tensors.values()))
            for name, output in part.outputs.items():
                result = np.asarray(values) + 1
                output[...] = result[part.kept[name]] if name in part.kept else result
        algorithm = f"{self._precision}, {self._engine.most} at once"
        return (StepRecord(name="add", engine="lanes", algorithm=algorithm),)


class Lanes:
    """The engine. Each call must keep to what `LaneEngine` promises to it."""

    name = "lanes"

    def __init__(self, lanes=2, memory_bytes=1 << 20, plan_folder=""):
        self.lanes = lanes
        self.facts = DeviceFacts("a device of lanes", memory_bytes)
        self.most = 0  # pieces of work at once
        self.parts = []  # of each piece that was begun
        self.forgotten = []
        self.attached = 0
        self._begun = []

    def run(self, work, tensors, outputs, key="", precision="strict"):
        begun = self.begin(work, [Views(tensors, outputs)], key, precision)
        begun.wait()
        return begun.finish()

    def begin(self, work, parts, key, precision):
        assert len(self._begun) < self.lanes
        commands = {values.flat[0] for part in parts for values in part.tensors.values()}
        if DIE in commands:
            os.kill(os.getpid(), signal.SIGKILL)
        self._begun.append(Begun(self, parts, precision, commands))
        self.most = max(self.most, len(self._begun))
        self.parts.append(len(parts))
        return self._begun[-1]

    def ended(self, begun):
        """Its lane is free."""
        self._begun.remove(begun)

    def forget(self, key):
        self.forgotten.append(key)

    def close(self):
        assert self.attached == 1  # the memory that all requests share

    def attach(self, memory):
        self.attached += 1

    def detach(self, memory):
        self.attached -= 1


class NoDevice(Lanes):
    """Finds the device lost at its start."""

    def __init__(self, **options):
        raise DeviceLostError("no context")


class NeedsLibrary(Lanes):
    """Is ready only as long as its plan folder exists."""

    def __init__(self, plan_folder="", **options):
        os.stat(plan_folder)
        super().__init__(**options)
