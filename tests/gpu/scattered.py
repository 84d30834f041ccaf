"""`python -m tests.gpu.scattered`: every case with each buffer in memory of its own.

For compute-sanitizer: within the engine's one slab it sees no access out of bounds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen
from convserve.tensors import Array, empty
from convserve_server.engines.cuda.device import Lane
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.loading import Loaded, Loader
from convserve_server.engines.cuda.transfers import fetch, send
from convserve_server.engines.cuda.views import View
from convserve_server.planning.program import work_outputs

from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.gpu.machine import BuildingShelf, open_device, target

EVERY = 5


@frozen
class Scattered(Site):
    """A recipe's buffers, each an allocation of exactly its size."""

    addresses: Mapping[str, int] = field(factory=dict, eq=False)

    def buffer_of(self, view: View) -> int:
        return self.addresses[view.buffer]


def main() -> None:
    device = open_device(64 << 20)
    lane = device.lane()
    shelf = BuildingShelf(target(device, "strict"))
    loader = Loader(device, lambda precision: (shelf,))
    for case in CASES[::EVERY]:
        work = case.compile()
        loaded = loader.find(work, (), "strict", fft=True)
        assert loaded is not None
        outputs = {spec.name: empty(spec) for spec in work_outputs(work)}
        run(lane, loaded, inputs_of(case), outputs)
        print(case.name, flush=True)


def inputs_of(case: Case) -> dict[str, Array]:
    """All tensors, channels first."""
    inputs = case.input_arrays()
    if case.layout == "channels_last":
        inputs = {name: np.moveaxis(x, -1, 1) if x.ndim > 2 else x for name, x in inputs.items()}
    return inputs | case.weight_arrays()


def run(
    lane: Lane, loaded: Loaded, tensors: Mapping[str, Array], outputs: Mapping[str, Array]
) -> None:
    """One recipe from end to end."""
    import cupy

    recipe, runtime = loaded.recipe, cupy.cuda.runtime
    addresses = {name: runtime.malloc(max(size, 1)) for name, size in recipe.buffers.items()}
    site = Scattered(loaded, 0, 0, addresses)
    sent = [
        send(lane, tensors[name], view, site.buffer_of(view))
        for views in (recipe.weights, recipe.inputs)
        for name, view in views.items()
    ]
    site.give((*recipe.preparation, *recipe.commands), lane)
    fetched = [
        fetch(lane, view, site.buffer_of(view), outputs[name])
        for name, view in recipe.outputs.items()
    ]
    lane.mark().wait()
    assert len(sent) + len(fetched) == len(tensors) + len(outputs)
    for address in addresses.values():
        runtime.free(address)


if __name__ == "__main__":
    main()
