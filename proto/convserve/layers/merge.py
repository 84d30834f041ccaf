"""Layers that join several inputs."""

from __future__ import annotations

from attrs import frozen

from convserve.layers.fields import Layer


@frozen
class Add(Layer):
    """The elementwise sum of two or more inputs of one shape."""


@frozen
class Concat(Layer):
    """Two or more inputs side by side along the channels (axis 1)."""
