"""The kernels there are, and for which element types: what may be launched, and CI compiles."""

from __future__ import annotations

from itertools import product

from attrs import frozen

BOOLEAN = ("bool",)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
HALVES = ("float16", "bfloat16")
FLOATS = (*HALVES, "float32", "float64")
COMPLEX = ("complex64", "complex128")
REAL = (*INTEGERS, *FLOATS)
NUMBERS = (*REAL, *COMPLEX)
ANY = (*BOOLEAN, *NUMBERS)
SUMS = ("int32", "int64")  # the integers that results of sums have


@frozen
class Template:
    """A struct template of `kernels/<file>.cuh`, and the dtypes that it is made for."""

    file: str
    struct: str
    types: frozenset[tuple[str, ...]]


def _one(file: str, struct: str, *dtypes: str) -> Template:
    return Template(file, struct, frozenset((dtype,) for dtype in dtypes))


# Conversions that lowering asks for: to one's own type, and to a type that holds more.
_COPIES = frozenset(
    (target, source)
    for target, source in product(ANY, ANY)
    if not (source in COMPLEX and target not in COMPLEX)
)

TEMPLATES: dict[str, Template] = {
    template.struct: template
    for template in (
        Template("copy", "Copy", _COPIES),
        _one("copy", "Fill", *ANY),
    )
}
