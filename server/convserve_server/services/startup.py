"""Models that are loaded from folders before the server serves, and stay until its end.

A folder has `network.json`, a network as plain data, and its weights by name: `weights.npz`, or a
file such as `conv1.weight.npy` for each.
"""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from attrs import frozen
from convserve.errors import InvalidArgumentError, error_at
from convserve.networks import Network
from convserve.runs import RunOptions
from convserve.tensors import Array, spec_of, wire_bytes

from convserve_server.planning.planner import check_weight_names
from convserve_server.services.models import ModelStore
from convserve_server.services.tensors import TensorStore
from convserve_server.workers.arena import Placement, aligned_bytes, place


@frozen
class ModelFiles:
    """A network, read from `network_bytes` bytes, and its weights by name."""

    network: Network
    network_bytes: int
    weights: Mapping[str, Array]


async def load_models(
    folders: Iterable[tuple[str, Path]], models: ModelStore, tensors: TensorStore
) -> None:
    """Make the model of each folder resident under its name.

    Raises InvalidArgumentError with the path and what is wrong, and what `ModelStore.room` raises.
    """
    paths: dict[str, Path] = {}
    for name, folder in folders:
        if name in paths:
            raise InvalidArgumentError(
                f"{paths[name]} and this are both to be the model {name}; name each once",
                field=str(folder),
            )
        paths[name] = folder
        await _load(name, folder, models, tensors)


async def _load(name: str, folder: Path, models: ModelStore, tensors: TensorStore) -> None:
    files = await asyncio.to_thread(read_model, folder)
    specs = [spec_of(each, array) for each, array in files.weights.items()]
    with error_at(str(folder)):
        async with models.room(aligned_bytes(specs)) as region:
            placements = place(specs, region)
            await asyncio.to_thread(_fill, placements, files.weights.values())
            stored = tensors.settle(region, (), dict(enumerate(placements)))
    models.add(files.network, RunOptions(), files.network_bytes, placements, stored.parcels, name)


def _fill(placements: Iterable[Placement], arrays: Iterable[Array]) -> None:
    for placement, array in zip(placements, arrays, strict=True):
        placement.view()[:] = wire_bytes(array)


def read_model(folder: Path) -> ModelFiles:
    """The network and the weights of a folder. Raises InvalidArgumentError, field: the path."""
    path = folder / "network.json"
    with _reading(path):
        text = path.read_bytes()
        network = Network.from_dict(json.loads(text))
    weights = _read_weights(folder)
    with error_at(str(folder)):
        check_weight_names(network, [spec_of(name, array) for name, array in weights.items()])
    return ModelFiles(network, len(text), weights)


def _read_weights(folder: Path) -> dict[str, Array]:
    archive, files = folder / "weights.npz", sorted(folder.glob("*.npy"))
    if archive.exists() and files:
        raise InvalidArgumentError(
            f"there are weights in weights.npz and in {files[0].name}; leave one of them out",
            field=str(folder),
        )
    if archive.exists():
        with _reading(archive), np.load(archive, allow_pickle=False) as arrays:
            return dict(arrays)
    weights = {}
    for file in files:
        with _reading(file):
            weights[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
    return weights


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with error_at(str(path)):
            yield
    except InvalidArgumentError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidArgumentError(f"cannot read it: {reason}", field=str(path)) from error
    except (ValueError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        raise InvalidArgumentError(f"cannot read it: {error}", field=str(path)) from error
