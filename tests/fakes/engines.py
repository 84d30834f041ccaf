"""Engines that do as the test says: `key` is the command, such as `wait:/path/to/a/fifo`."""

import os
import signal
import sys

import numpy as np
from convserve.errors import ShapeError
from convserve.runs import StepRecord


class Scripted:
    """Without a command: every output is the sum of the tensors and of 1.

    `runs` are the shapes of what it was given first.
    """

    name = "scripted"

    def __init__(self, threads=None):
        self._threads = threads
        self._kept = set()
        self.runs = []

    def run(self, work, tensors, outputs, key="", precision="strict"):
        self.runs.append(next(iter(tensors.values())).shape)
        command, _, argument = key.partition(":")
        if command:
            getattr(self, f"_{command}")(argument)
        for output in outputs.values():
            output[...] = sum(tensors.values()) + 1
        return (StepRecord(name="sum", engine=self.name, algorithm=str(self._threads)),)

    def forget(self, key):
        command, _, argument = key.partition(":")
        if command == "keep":
            self._kept.discard(argument)
        elif command:
            getattr(self, f"_{command}")(argument)

    def _wait(self, fifo):
        """Tell whoever opens the FIFO for writing that it runs; go on when they close it."""
        with open(fifo, "rb") as gate:
            gate.read()

    def _keep(self, name):
        if name in self._kept:
            raise ShapeError("it is there already", field="key")
        self._kept.add(name)

    def _refuse(self, field):
        raise ShapeError("7 is not 8", field=field, metadata={"value": 7})

    def _break(self, secret):
        raise RuntimeError(secret)

    def _die(self, _):
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, code):
        os._exit(int(code))

    def _devour(self, _):
        np.empty(1 << 60, np.uint8)

    def _babble(self, _):
        option = next(a for a in sys.argv if a.startswith("--socket="))
        os.write(int(option.partition("=")[2]), b"\xff" * 64)
        signal.pause()


class Fussy(Scripted):
    """Refuses negative numbers."""

    def run(self, work, tensors, outputs, key="", precision="strict"):
        least = min(array.min() for array in tensors.values())
        if least < 0:
            raise ShapeError(f"{least:g} is negative")
        return super().run(work, tensors, outputs, key, precision)


class TransposedCopy(Scripted):
    """Copies the one input to the one output, adding the weight; keeps what it is given honest."""

    def run(self, work, tensors, outputs, key="", precision="strict"):
        (spec,) = work.inputs
        self.runs.append(tensors[spec.name].shape)
        shared = [array for array in tensors.values() if not array.flags.owndata]
        assert not any(array.flags.writeable for array in shared)
        assert tensors[spec.name].shape == spec.shape
        weight = tensors[work.steps[0].parameters[0].name]
        assert weight.shape == work.steps[0].parameters[0].shape
        outputs[work.outputs[0]][...] = tensors[spec.name] + weight.reshape(-1)[0]
        return ()


class CannotLoad:
    """Fails to load."""

    def __init__(self, threads=None):
        raise RuntimeError("the engine's library is missing")


class NeedsLibrary(Scripted):
    """Loads only if the file named by FAKE_LIBRARY exists."""

    def __init__(self, threads=None):
        open(os.environ["FAKE_LIBRARY"]).close()
        super().__init__(threads)


class LoadsOnce:
    """Loads for ever in the first process, and fails in the next, by the file FAKE_LIBRARY."""

    def __init__(self, threads=None):
        open(os.environ["FAKE_LIBRARY"], "x").close()
        signal.pause()


class NeverReady:
    """Loads for ever."""

    def __init__(self, threads=None):
        signal.pause()
