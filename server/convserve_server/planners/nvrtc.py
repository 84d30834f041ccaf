"""The task that compiles our kernels. NVRTC needs no GPU; the frontend to it is CuPy's.

Products and sums are not contracted (`--fmad=false`): every operation rounds as IEEE 754 and NumPy
have it, so that a position between two elements, or a rounding to an integer, falls where it falls
in the reference. Where a sum of products is to be fast, the kernel says `fma`.
"""

from __future__ import annotations

import re

from attrs import frozen
from convserve.errors import UnsupportedError

from convserve_server.engines.cuda.graphs import Prepared
from convserve_server.engines.cuda.kernels import headers, source_of
from convserve_server.planners.builds import Built, decode_kernel_request, encode
from convserve_server.planners.libraries import load_builtins

OPTIONS = ("--std=c++17", "--fmad=false", "--ptxas-options=-v")


@frozen
class Compiled:
    """A cubin, and what the assembler says of it: the most registers, and bytes in memory."""

    cubin: bytes
    registers: int
    stack_bytes: int
    spilled_bytes: int


def compile_kernel(request: bytes) -> bytes:
    """An encoded Built for an encoded KernelRequest. Raises UnsupportedError without CuPy."""
    asked = decode_kernel_request(request)
    compiled = compile_source(source_of(asked.instance), asked.architecture)
    notes = (
        f"{compiled.registers} registers",
        f"{compiled.stack_bytes} bytes of stack",
        f"{compiled.spilled_bytes} bytes spilled",
    )
    name = f"{asked.instance.struct}<{', '.join(asked.instance.types)}>"
    reason = f"compiled for {asked.architecture}"
    return encode(Built(Prepared(name=name, notes=notes, reason=reason, blob=compiled.cubin)))


def compile_source(source: str, architecture: str) -> Compiled:
    """Compile a translation unit that may include our headers.

    Raises UnsupportedError without CuPy, and RuntimeError with the log if it does not compile.
    """
    try:
        from cupy.cuda import nvrtc
    except ImportError:
        raise UnsupportedError(
            "CuPy is not installed on this server: pip install 'convserve-server[cuda]'"
        ) from None
    load_builtins()
    texts = [text.encode() for text in headers().values()]
    names = [name.encode() for name in headers()]
    program = nvrtc.createProgram(source, "kernel.cu", texts, names)
    try:
        nvrtc.compileProgram(program, (f"-arch={architecture}", *OPTIONS))
        cubin: bytes = nvrtc.getCUBIN(program)
        return _compiled(cubin, nvrtc.getProgramLog(program))
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"{error}:\n{nvrtc.getProgramLog(program)}") from error
    finally:
        nvrtc.destroyProgram(program)


def _compiled(cubin: bytes, log: str) -> Compiled:
    """What `ptxas -v` has printed: a line per function on the stack, and one on registers."""

    def numbers(pattern: str) -> list[int]:
        return [int(number) for number in re.findall(pattern, log)]

    return Compiled(
        cubin,
        registers=max(numbers(r"Used (\d+) registers")),
        stack_bytes=sum(numbers(r"(\d+) bytes stack frame")),
        spilled_bytes=sum(numbers(r"(\d+) bytes spill (?:stores|loads)")),
    )
