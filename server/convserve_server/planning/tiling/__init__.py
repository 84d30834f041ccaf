"""Work that is too large at once, or too small alone: split or joined, with the same results."""

from convserve_server.planning.tiling.batches import is_row_separable, rebatched
from convserve_server.planning.tiling.pieces import Piece, Slice, Slices
from convserve_server.planning.tiling.splitting import Split, row_pieces, split

__all__ = [
    "Piece",
    "Slice",
    "Slices",
    "Split",
    "is_row_separable",
    "rebatched",
    "row_pieces",
    "split",
]
