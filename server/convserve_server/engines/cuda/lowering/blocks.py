"""How arrays are cut into blocks for Fourier transforms, and what that costs.

An array is read as one long row: its axes padded with zeros to the sizes of the full convolution,
one after the other. The convolution of two such rows is that of the arrays, of any rank, so that
one-dimensional transforms do. A row that is much longer than the other is cut into blocks that
overlap, of which the transforms are short (overlap-save: Oppenheim and Schafer, Discrete-Time
Signal Processing, 8.7.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache, lru_cache

from attrs import frozen
from convserve.tensors import Shape, dtype_of

from convserve_server.engines.cuda.lowering.selection import RATES
from convserve_server.engines.cuda.views import contiguous

_SPECTRA = {"float32": "complex64", "float64": "complex128"}  # else as what is transformed
# cuFFT has kernels of its own for lengths with no other prime factors than 2, 3, 5 and 7. Of the
# odd parts of such lengths these are enough to be near any number.
_ODD_PARTS: list[int] = sorted(
    3**a * 5**b * 7**c for a in range(5) for b in range(3) for c in range(2) if 3**a * 5**b < 200
)
_LAUNCHES = 5  # for each group of blocks: cut, transform, multiply, transform back, join
_ONCE = 5  # before: the kernel's cut and transform, and the peaks of both


@frozen
class Costs:
    """The row `fft` of selection.json. Lengths are in elements, and times in seconds.

    A transform goes through memory once more beyond each of `pass_lengths`. Up to `group_bytes` of
    blocks are transformed at once.
    """

    bytes_per_second: float
    launch_seconds: float
    pass_lengths: tuple[int, ...]
    shortest: int
    longest: int
    group_bytes: int
    least_taps: int

    def passes(self, length: int) -> int:
        """How often a transform reads and writes all."""
        return 1 + sum(length > limit for limit in self.pass_lengths)


@cache
def costs() -> Costs:
    """What transforms are assumed to cost."""
    data = json.loads(RATES.read_text())
    row = data["fft"]
    return Costs(
        row["bandwidth"] * data["bytes_per_second"],
        data["launch_seconds"],
        tuple(row["pass_lengths"]),
        row["shortest"],
        row["longest"],
        row["group_bytes"],
        row["least_taps"],
    )


@frozen
class Span:
    """The full convolution of `long` with `short`, of which `wanted` is taken from `start` on.

    All are by axis. What is wanted beyond the full convolution is zero; some of it is within.
    """

    long: Shape
    short: Shape
    start: Shape
    wanted: Shape

    @property
    def sizes(self) -> Shape:
        """Of the full convolution."""
        return tuple(n + m - 1 for n, m in zip(self.long, self.short, strict=True))

    @property
    def is_inside(self) -> bool:
        """Whether the full convolution has all that is wanted."""
        axes = zip(self.start, self.wanted, self.sizes, strict=True)
        return all(start >= 0 and start + count <= size for start, count, size in axes)

    @property
    def first(self) -> int:
        """The position in the long row of the first that is wanted."""
        return self._position(max(0, start) for start in self.start)

    @property
    def stop(self) -> int:
        """The position behind the last that is wanted."""
        axes = zip(self.start, self.wanted, self.sizes, strict=True)
        return 1 + self._position(min(start + count, size) - 1 for start, count, size in axes)

    @property
    def taps(self) -> int:
        """The length of the short row, without the zeros behind its last element."""
        return 1 + self._position(size - 1 for size in self.short)

    def _position(self, places: Iterator[int]) -> int:
        return sum(at * step for at, step in zip(places, contiguous(self.sizes), strict=True))


@frozen
class Cut:
    """`count` blocks of `length` elements of the long row, `step` apart from `first` on.

    Of each, the result has `step` elements.
    """

    count: int
    length: int
    step: int
    first: int

    @property
    def name(self) -> str:
        """What this is called in records and plans."""
        return "fft" if self.count == 1 else "overlap_save"


@frozen
class Bank:
    """y[n, k] = the sum over c of x[n, c] convolved with w[k, c], for so many of each.

    `outputs` kernels have `depth` channels each, of the `channels` of x. `dtype` is what is
    transformed.
    """

    span: Span
    dtype: str
    images: int = 1
    channels: int = 1
    outputs: int = 1
    depth: int = 1

    @property
    def spectrum(self) -> str:
        """The type of the spectra."""
        return _SPECTRA.get(self.dtype, self.dtype)

    @property
    def is_diagonal(self) -> bool:
        """Whether each channel is multiplied with one kernel of its own."""
        return self.depth == 1 and self.outputs == self.channels

    def bins(self, length: int) -> int:
        """The elements of a block's spectrum: of real numbers, one half says all."""
        return length if self.dtype == self.spectrum else length // 2 + 1

    def row_bytes(self, length: int) -> int:
        """The bytes of a block."""
        return length * dtype_of(self.dtype).itemsize

    def spectrum_bytes(self, length: int) -> int:
        """The bytes of a block's spectrum."""
        return self.bins(length) * dtype_of(self.spectrum).itemsize

    def group(self, cut: Cut) -> tuple[int, int]:
        """How many images, and how many blocks of each, are transformed at once."""
        row = self.row_bytes(cut.length) * max(self.channels, self.outputs)
        rows = max(1, costs().group_bytes // row)
        if rows >= cut.count:
            return min(self.images, rows // cut.count), cut.count
        parts = -(-cut.count // rows)
        return 1, -(-cut.count // parts)

    def group_count(self, cut: Cut) -> int:
        """How many groups there are."""
        images, blocks = self.group(cut)
        return -(-self.images // images) * -(-cut.count // blocks)

    def working_bytes(self, cut: Cut) -> int:
        """The bytes of what is needed beside the tensors; the library's workspace is the last."""
        row, spectrum = self.row_bytes(cut.length), self.spectrum_bytes(cut.length)
        rows = math.prod(self.group(cut))
        most = rows * max(self.channels, self.outputs)
        products = 0 if self.is_diagonal else rows * self.outputs * spectrum
        kernels = self.outputs * self.depth
        return products + (most + kernels) * (row + spectrum + max(row, spectrum))

    def seconds(self, cut: Cut) -> float:
        """The time of the memory traffic of all passes, and of the launches."""
        given = costs()
        row, spectrum = self.row_bytes(cut.length), self.spectrum_bytes(cut.length)
        moved = 2 * row + given.passes(cut.length) * (row + spectrum)
        blocks = self.images * cut.count
        traffic = (blocks * (self.channels + self.outputs) + self.outputs * self.depth) * moved
        traffic += blocks * self.outputs * (2 * self.depth + 1) * spectrum
        launches = _ONCE + _LAUNCHES * self.group_count(cut)
        return traffic / given.bytes_per_second + launches * given.launch_seconds


@lru_cache(maxsize=4096)
def best_cut(bank: Bank) -> Cut | None:
    """The fastest, by assumed rates; None if even the blocks would be too long."""
    return min(_cuts(bank.span), key=bank.seconds, default=None)


def smooth(length: int) -> int:
    """The next even length with no other prime factors than 2, 3, 5 and 7."""
    return min(odd << max(1, (-(-length // odd) - 1).bit_length()) for odd in _ODD_PARTS)


def _cuts(span: Span) -> Iterator[Cut]:
    """All of it as one block, and blocks of several lengths, about powers of two."""
    given = costs()
    extent = span.stop - span.first
    whole = smooth(max(span.stop, math.prod(span.sizes) - span.first))
    if whole <= given.longest:
        yield Cut(1, whole, extent, 0)
    length = max(given.shortest, 1 << span.taps.bit_length())
    while length < whole and length <= given.longest:
        count = -(-extent // (length - span.taps + 1))
        even = smooth(-(-extent // count) + span.taps - 1)
        step = even - span.taps + 1
        yield Cut(-(-extent // step), even, step, span.first - span.taps + 1)
        length *= 2
