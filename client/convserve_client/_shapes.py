"""Shapes and element types of inputs, as people write them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from attrs import evolve
from convserve.errors import InvalidArgumentError, ShapeError, error_at
from convserve.tensors import (
    DTYPES,
    SYMBOLIC_BATCH,
    Shape,
    TensorSpec,
    dtype_name,
    dtype_of,
)

from convserve_client._checks import check_text

ShapeLike: TypeAlias = Sequence[int | str | None]
Shapes: TypeAlias = ShapeLike | Mapping[str, ShapeLike] | None
DTYPE = "float32"  # of an input whose network tells none


def as_specs(
    given: Shapes, dtype: Any, own: Sequence[TensorSpec], layout: str, source: str = "the network"
) -> tuple[TensorSpec, ...]:
    """The specs of a network's inputs: of the given shapes, or the network's own, if it has any.

    `dtype` is theirs, but for DTYPE where the network tells another. Own shapes are channels first;
    the result has the `layout`. Errors name the `source` of the own ones.

    Raises InvalidArgumentError, ShapeError, DTypeError.
    """
    wanted = _as_dtype_name(dtype)
    is_default = isinstance(dtype, str) and dtype == DTYPE
    told = {spec.name: spec.dtype for spec in own} if is_default else {}
    if given is None:
        specs = (_own_spec(spec, layout) for spec in _known(own, source))
        return tuple(evolve(spec, dtype=told.get(spec.name, wanted)) for spec in specs)
    if len(told) == 1:
        told[""] = own[0].dtype
    return tuple(
        as_spec(name, shape, told.get(name, wanted)) for name, shape in by_name(given).items()
    )


def by_name(given: ShapeLike | Mapping[str, ShapeLike], only: str = "") -> Mapping[str, ShapeLike]:
    """Shapes by name; a shape alone is that of the input called `only`."""
    return given if isinstance(given, Mapping) else {only: given}


def as_shapes(given: Shapes) -> dict[str, Shape]:
    """`by_name`, checked. None is no shape."""
    shapes = {} if given is None else by_name(given)
    return {name: as_spec(name, shape, DTYPE).shape for name, shape in shapes.items()}


def _known(own: Sequence[TensorSpec], source: str) -> Sequence[TensorSpec]:
    if not own:
        raise InvalidArgumentError(
            f"{source} does not tell the shapes of its inputs; give them, such as "
            "(1, 3, 224, 224) or ('N', 3, 224, 224)",
            field="input_shape",
        )
    for spec in own:
        if not spec.shape or not all(spec.shape):
            raise ShapeError(
                f"{source} leaves sizes of {spec.name!r} open: {spec.shape}, where 0 is "
                "unknown; give them",
                field="input_shape",
                metadata={"value": spec.shape},
            )
    return own


def _own_spec(spec: TensorSpec, layout: str) -> TensorSpec:
    if layout != "channels_last" or len(spec.shape) < 3:
        return spec
    batch, channels, *spatial = spec.shape
    return evolve(spec, shape=(batch, *spatial, channels))


def as_spec(name: str, shape: ShapeLike, dtype: Any, argument: str = "input_shape") -> TensorSpec:
    """The spec of one input. Raises ShapeError, DTypeError and InvalidArgumentError.

    The errors name the `argument` that the shape was given as.
    """
    dtype = _as_dtype_name(dtype)
    with error_at(f"{argument}[{name!r}]" if name else argument):
        spec = TensorSpec(check_text(name, "name"), dtype, _as_shape(shape))
        spec.check()
    return spec


def _as_shape(shape: ShapeLike) -> Shape:
    try:
        return tuple(
            SYMBOLIC_BATCH if axis == 0 and _is_any(size) else operator.index(size)  # type: ignore[arg-type]
            for axis, size in enumerate(shape)
        )
    except TypeError:
        raise ShapeError(
            f"{shape!r} is not a shape: integers, and on the first axis also 'N' for any batch"
        ) from None


def _is_any(size: object) -> bool:
    return size is None or (isinstance(size, str) and size == "N")


def _as_dtype_name(dtype: Any) -> str:
    if isinstance(dtype, str) and dtype in DTYPES:
        return dtype
    try:
        found = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except (TypeError, ValueError, SyntaxError):  # NumPy evaluates strings with brackets
        found = None
    return dtype_name(dtype_of(str(dtype)) if found is None else found)
