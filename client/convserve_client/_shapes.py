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
    given: Shapes, dtype: Any, own: Sequence[TensorSpec], layout: str
) -> tuple[TensorSpec, ...]:
    """The specs of a network's inputs: of the given shapes, or the network's own, if it has any.

    `dtype` is theirs, but for DTYPE where the network tells another. Own shapes are channels first;
    the result has the `layout`. Raises InvalidArgumentError, ShapeError, DTypeError.
    """
    if given is None:
        return tuple(_own_spec(spec, layout) for spec in _known(own))
    shapes = given if isinstance(given, Mapping) else {"": given}
    told = {spec.name: spec.dtype for spec in own}
    if len(own) == 1:
        told[""] = own[0].dtype
    is_told = isinstance(dtype, str) and dtype == DTYPE
    return tuple(
        as_spec(name, shape, told.get(name, dtype) if is_told else dtype)
        for name, shape in shapes.items()
    )


def as_shapes(given: Shapes) -> dict[str, Shape]:
    """Shapes by name; the name is empty where there is one shape. None is no shape."""
    if given is None:
        return {}
    shapes = given if isinstance(given, Mapping) else {"": given}
    return {name: as_spec(name, shape, DTYPE).shape for name, shape in shapes.items()}


def _known(own: Sequence[TensorSpec]) -> Sequence[TensorSpec]:
    if not own:
        raise InvalidArgumentError(
            "the network does not tell the shapes of its inputs; give them, such as "
            "(1, 3, 224, 224) or ('N', 3, 224, 224)",
            field="input_shape",
        )
    for spec in own:
        if not spec.shape or not all(spec.shape):
            raise ShapeError(
                f"the file leaves sizes of {spec.name!r} open: {spec.shape}, where 0 is unknown; "
                "give them",
                field="input_shape",
                metadata={"value": spec.shape},
            )
    return own


def _own_spec(spec: TensorSpec, layout: str) -> TensorSpec:
    if layout != "channels_last" or len(spec.shape) < 3:
        return spec
    batch, channels, *spatial = spec.shape
    return evolve(spec, shape=(batch, *spatial, channels))


def as_spec(name: str, shape: ShapeLike, dtype: Any) -> TensorSpec:
    """The spec of one input. Raises ShapeError, DTypeError and InvalidArgumentError."""
    with error_at(f"input_shape[{name!r}]" if name else "input_shape"):
        sizes = _as_shape(shape)
    spec = TensorSpec(check_text(name, "input_shape"), _as_dtype_name(dtype), sizes)
    with error_at("input_shape"):
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
