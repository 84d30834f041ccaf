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

# Of the results of sums, and of what is summed.
_SUMS = frozenset((dtype, dtype) for dtype in (*SUMS, *FLOATS, *COMPLEX))
_OF_FLOAT = frozenset((half, "float32") for half in HALVES)
_OF_INT16 = frozenset((dtype, "int16") for dtype in SUMS)
_OF_HALVES = frozenset(("float32", half) for half in HALVES)

# Reductions whose results between launches are in double, and means through the type of sums.
_REDUCTIONS = frozenset((
    *((dtype, dtype) for dtype in FLOATS),
    *(("float64", dtype) for dtype in FLOATS),
    *((dtype, "float64") for dtype in FLOATS),
))  # fmt: skip
_MEANS = frozenset((
    *((dtype, dtype) for dtype in FLOATS),
    *(("float32", half) for half in HALVES),
    *((half, "float32") for half in HALVES),
))  # fmt: skip

# Sums of products of signals: of integers modulo 2^32 and 2^64, and of halves in parts.
_SIGNALS = frozenset((
    *(("int32", dtype) for dtype in ("int8", "int16", "int32", "uint8", "uint16")),
    ("int64", "int64"),
    ("int64", "bool"),
    *((dtype, dtype) for dtype in (*FLOATS, *COMPLEX)),
    *(("float32", half) for half in HALVES),
))  # fmt: skip

# What is transformed, and of what: integers in float64, halves in float32.
_TRANSFORMED = frozenset((
    *((dtype, dtype) for dtype in ("float32", "float64", *COMPLEX)),
    *(("float32", half) for half in HALVES),
    *(("float64", dtype) for dtype in INTEGERS),
))  # fmt: skip

# Of numbers of one type; of halves, with float32 between two of several.
_BINARIES = frozenset((
    *((dtype, dtype, dtype) for dtype in NUMBERS),
    *(("float32", half, half) for half in HALVES),
    *(("float32", "float32", half) for half in HALVES),
    *((half, "float32", half) for half in HALVES),
))  # fmt: skip

TEMPLATES: dict[str, Template] = {
    template.struct: template
    for template in (
        Template("copy", "Copy", _COPIES),
        _one("copy", "Fill", *ANY),
        _one("epilogue", "Epilogue", *FLOATS),
        _one("epilogue", "EpiloguePacked", *FLOATS),
        _one("fold", "FoldScale", "float32", "float64"),
        _one("fold", "FoldWeight", *FLOATS),
        _one("fold", "FoldBias", *FLOATS),
        Template("direct", "DirectConv", _SUMS | _OF_HALVES | _OF_INT16),
        Template("direct", "DirectSpread", _SUMS | _OF_HALVES),
        Template("direct", "DirectWeight", _SUMS | _OF_HALVES),
        Template("direct", "AddParts", _SUMS | _OF_FLOAT),
        _one("direct", "Conjugate", *COMPLEX),
        _one("depthwise", "Depthwise", *HALVES, "float32"),
        _one("depthwise", "DepthwisePacked", *HALVES, "float32"),
        Template("signals", "SignalSum", _SIGNALS),
        _one("signals", "Peaks", *FLOATS, *COMPLEX),
        Template("spectrum", "CutBlocks", _TRANSFORMED),
        _one("spectrum", "SpectrumProduct", *COMPLEX),
        Template("spectrum", "JoinBlocks", frozenset((b, a) for a, b in _TRANSFORMED)),
        _one("pad", "Pad", *ANY),
        _one("quantized", "WithoutZero", "int8", "uint8"),
        Template("quantized", "Quantize", frozenset(product(("int8", "uint8"), SUMS))),
        _one("deform", "Deform", *FLOATS),
        _one("bounds", "Extremes", *INTEGERS, "float64"),
        _one("bounds", "AbsoluteSums", *INTEGERS, "float64"),
        _one("pool", "MaxPool", *REAL),
        _one("pool", "AvgPool", *FLOATS),
        _one("pool", "LpPool", *FLOATS),
        _one("pool", "PackedMaxPool", *FLOATS),
        _one("pool", "PackedAvgPool", *FLOATS),
        _one("pool", "MaxPoolIndices", *REAL),
        Template("rows", "SumRows", _REDUCTIONS),
        _one("rows", "LargestRows", *REAL),
        _one("rows", "AddRows", "int64", *COMPLEX),
        Template("adaptive", "AdaptiveAvgPool", _MEANS),
        _one("adaptive", "AdaptiveMaxPool", *REAL),
        _one("unpool", "ClaimPlaces", *INTEGERS),
        _one("unpool", "Unpool", *NUMBERS),
        _one("elementwise", "Activate", *FLOATS),
        _one("elementwise", "Function", *FLOATS),
        _one("elementwise", "Bound", *REAL),
        _one("elementwise", "Absolute", *REAL),
        _one("elementwise", "SlopedReLU", *FLOATS),
        _one("elementwise", "Affine", *FLOATS, *COMPLEX),
        Template("binary", "Binary", _BINARIES),
        _one("resize", "Nearest", "uint8", "uint16", "uint32", "uint64", "complex128"),
        _one("resize", "Resize", *FLOATS),
        Template("columns", "Fold", frozenset((dtype, dtype) for dtype in NUMBERS)),
        _one("softmax", "ShiftedExp", *FLOATS),
        _one("softmax", "Share", *FLOATS),
        _one("norm", "Moments", *FLOATS),
        _one("norm", "JoinedMoments", "float64"),
        _one("norm", "Normalise", *FLOATS),
        _one("norm", "NormaliseAffine", *FLOATS),
        _one("norm", "PackedNormalise", *FLOATS),
        _one("norm", "PackedNormaliseAffine", *FLOATS),
        _one("norm", "LocalResponseNorm", *FLOATS),
    )
}
