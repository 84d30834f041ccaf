"""Answers as plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs
from convserve.layers import Layer, kind_of
from convserve.plans import shown_shape
from convserve.tensors import TensorSpec


def as_document(value: Any) -> Any:
    """Dicts, lists, strings and numbers for a value of `convserve.plans`.

    Layers carry their kind, an unknown batch is "N", and a fraction that is not whole is a string
    such as "1/2". Fields that hold nothing are left out.
    """
    if isinstance(value, TensorSpec):
        shape = list(shown_shape(value.shape))
        return {"name": value.name, "dtype": value.dtype, "shape": shape}
    if attrs.has(type(value)):
        kind = {"kind": kind_of(value)} if isinstance(value, Layer) else {}
        fields = attrs.asdict(value, recurse=False)
        return kind | {name: as_document(each) for name, each in fields.items() if each is not None}
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    if isinstance(value, Mapping):
        return {name: as_document(each) for name, each in value.items()}
    return [as_document(each) for each in value] if isinstance(value, list | tuple) else value
