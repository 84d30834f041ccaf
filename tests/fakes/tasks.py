"""Tasks for planner processes that do as the test says."""

import os
import signal
import sys

from convserve.errors import ShapeError


def reverse(request):
    return request[::-1]


def pid(request):
    return str(os.getpid()).encode()


def read(request, memory):
    """The region, and whether it can be written."""
    return bytes(memory) + (b"writable" if not memory.readonly else b"")


def keep(request, memory):
    """Keeps a view of the region for ever."""
    KEPT.append(memory[1:])
    return b""


KEPT = []


def refuse(request):
    raise ShapeError("7 is not 8", field=request.decode(), metadata={"value": 7})


def fail(request):
    raise RuntimeError(f"the secret is {request.decode()}")


def hang(request):
    """Tells whoever opens the FIFO for writing that it runs, and never ends."""
    if request:
        open(request, "rb").close()
    signal.pause()


def hold(request):
    """Runs until the FIFO is opened for writing, and closed."""
    with open(request, "rb") as gate:
        return gate.read()


def die(request):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(request):
    os._exit(int(request))


def devour(request):
    return bytearray(1 << 40)


def grow(request):
    """Takes memory piece by piece, as a decompressor does."""
    pieces = []
    while True:
        pieces.append(bytes(1 << 24))


def babble(request):
    """Says something else than an answer."""
    option = next(a for a in sys.argv if a.startswith("--socket="))
    os.write(int(option.partition("=")[2]), request)
    signal.pause()


def flood(request):
    return bytes(int(request))
