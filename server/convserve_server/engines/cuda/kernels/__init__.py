"""Our kernels: CUDA C++ as data of the package, and how their arguments are laid out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from convserve_server.engines.cuda.kernels.table import TEMPLATES
from convserve_server.engines.cuda.recipe import Argument, Instance, Launch
from convserve_server.engines.cuda.views import View

MAX_RANK = 8  # of a view that a kernel is given
ENTRY = "entry"  # what a compiled kernel is called

# dtype -> the type of an element in C++, where it is not called so
_CPP = {"bool": "boolean", "float32": "float", "float64": "double"}


def instance_of(name: str, *types: str) -> Instance:
    """The kernel of a struct for element types. Raises KeyError for one that is not advertised."""
    template = TEMPLATES[name]
    if types not in template.types:
        raise KeyError(f"there is no kernel {name} for {', '.join(types)}")
    return Instance(template.file, name, types)


def all_instances() -> Iterator[Instance]:
    """Every kernel that can be launched."""
    for template in TEMPLATES.values():
        for types in sorted(template.types):
            yield Instance(template.file, template.struct, types)


@cache
def headers() -> dict[str, str]:
    """The text of each header by its name."""
    folder = Path(__file__).parent
    return {path.name: path.read_text() for path in sorted(folder.glob("*.cuh"))}


def source_of(instance: Instance, name: str = ENTRY) -> str:
    """A translation unit with one kernel, called `name`; it includes `headers`."""
    types = ", ".join(_CPP.get(dtype, dtype) for dtype in instance.types)
    return f'#include "{instance.file}.cuh"\nENTRY({name}, {instance.struct}<{types}>)\n'


def pack(launch: Launch, address_of: Callable[[View], int]) -> bytes:
    """The arguments of a launch as its struct, and the count behind them."""
    parts = [_pack(argument, address_of) for argument in launch.arguments]
    return b"".join((*parts, struct.pack("<q", launch.count)))


def _pack(argument: Argument, address_of: Callable[[View], int]) -> bytes:
    if isinstance(argument, View):
        rank = len(argument.shape)
        unused = (0,) * (MAX_RANK - rank)
        numbers = (rank, *argument.shape, *unused, *argument.strides, *unused)
        return struct.pack(f"<q{len(numbers)}q", address_of(argument), *numbers)
    return struct.pack("<d" if isinstance(argument, float) else "<q", argument)
