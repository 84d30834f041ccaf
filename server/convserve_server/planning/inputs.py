"""The door of planning: a network's inputs as callers give them, to samples and a batch."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen
from convserve.errors import ShapeError, error_at
from convserve.layers.fields import MAX_SPATIAL_RANK
from convserve.networks import Network
from convserve.tensors import SYMBOLIC_BATCH, Shape, TensorSpec

from convserve_server.planning.graph import Sample
from convserve_server.planning.weights import check_names

MAX_INPUT_RANK = 2 + MAX_SPATIAL_RANK
CHANNELS_FIRST = "channels_first"
CHANNELS_LAST = "channels_last"


@frozen
class Inputs:
    """The inputs by name, channels first, and the batch that they share (-1: not known yet)."""

    samples: dict[str, Sample]
    batch: int


def name_inputs(network: Network, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The inputs with their names, in the network's order; a single one may be unnamed.

    Raises InvalidNetworkError for inputs that are missing, unknown or given twice.
    """
    if len(network.inputs) == len(specs) == 1 and not specs[0].name:
        specs = [evolve(specs[0], name=network.inputs[0])]
    check_names(network.inputs, specs, "inputs")
    by_name = {spec.name: spec for spec in specs}
    return tuple(by_name[name] for name in network.inputs)


def read_inputs(specs: Sequence[TensorSpec], layout: str, path: str) -> Inputs:
    """Samples and batch of named inputs in the layout. Raises ShapeError below `path[name]`."""
    samples = {}
    for spec in specs:
        with error_at(f"{path}[{spec.name!r}]"):
            spec.check()
            _check_shape(spec, specs[0])
        first = channels_first(spec.shape) if layout == CHANNELS_LAST else spec.shape
        samples[spec.name] = Sample(spec.name, spec.dtype, first[1:])
    return Inputs(samples, specs[0].shape[0])


def channels_first_axes(rank: int) -> tuple[int, ...]:
    """The axes of (N, *L, C) in the order (N, C, *L); ranks below 3 have one order only."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 2 else tuple(range(rank))


def channels_first(shape: Shape) -> Shape:
    """(N, *L, C) as (N, C, *L)."""
    return tuple(shape[axis] for axis in channels_first_axes(len(shape)))


def channels_last(spec: TensorSpec) -> TensorSpec:
    """A channels-first spec with its channels at the end."""
    axes = channels_first_axes(len(spec.shape))
    return evolve(spec, shape=tuple(spec.shape[axes.index(axis)] for axis in range(len(axes))))


def _check_shape(spec: TensorSpec, first: TensorSpec) -> None:
    shape = spec.shape
    if not 2 <= len(shape) <= MAX_INPUT_RANK:
        raise ShapeError(
            f"rank {len(shape)} is not from 2 to {MAX_INPUT_RANK}: (batch, channels, up to "
            f"{MAX_SPATIAL_RANK} spatial axes)",
            field="shape",
            metadata={"rank": len(shape), "limit": MAX_INPUT_RANK},
        )
    for axis, size in enumerate(shape[1:], start=1):
        if size < 1:
            raise ShapeError(
                f"size {size} is below 1 in {shape}; only the batch may be 0",
                field=f"shape[{axis}]",
                metadata={"value": size, "limit": 1},
            )
    if shape[0] != first.shape[0]:
        raise ShapeError(
            f"batch {_batch(shape)} differs from batch {_batch(first.shape)} of {first.name!r}; "
            "give all inputs one batch",
            field="shape[0]",
            metadata={"value": shape[0], "limit": first.shape[0]},
        )


def _batch(shape: Shape) -> str:
    return "N" if shape[0] == SYMBOLIC_BATCH else str(shape[0])
