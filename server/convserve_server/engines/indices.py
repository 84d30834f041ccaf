"""Whether indices name places that there are, whichever engine puts values there."""

from __future__ import annotations

from convserve.errors import InvalidArgumentError
from convserve.tensors import Array


def check_index_range(indices: Array, size: int, name: str) -> None:
    """Raise InvalidArgumentError for the layer `name` unless all indices are from 0 to size - 1.

    The smallest and the largest of them are enough.
    """
    if not indices.size:
        return
    for index in (int(indices.min()), int(indices.max())):
        if not 0 <= index < size:
            raise InvalidArgumentError(
                f"{name} reads the index {index}, but its places are 0 to {size - 1}; give the "
                "indices of max_pool_indices with the same numbers and scope",
                field=name,
                metadata={"value": index, "limit": size - 1},
            )
