"""Tensors as convolutions read them."""

from __future__ import annotations

import math

from attrs import evolve

from convserve_server.engines.cuda.lowering.builder import Builder
from convserve_server.engines.cuda.views import View

ALIGNMENT = 16  # bytes: what cuDNN's plans are made for


def laid_out(builder: Builder, view: View, dtype: str) -> View:
    """The same values of a dtype, with the channels last, at an aligned address."""
    if view.offset * view.item_bytes % ALIGNMENT == 0:
        return builder.channels_last(view, dtype)
    made = builder.new(dtype, view.shape)
    builder.copy(made, view)
    return made


def as_images(matrix: View) -> View:
    """A contiguous tensor (..., F) as images of one element, (rows, F, 1, 1)."""
    *rows, features = matrix.shape
    return evolve(
        matrix,
        shape=(math.prod(rows), features, 1, 1),
        strides=(features, 1, features, features),
    )
