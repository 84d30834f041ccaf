"""Planning backwards: which layers make a size of another, and which inputs give one output.

Along an axis, a convolution with the total padding T has n = L + T - e and gives
floor(n / stride) + 1; so it gives O exactly for (O - 1) * stride <= n < O * stride.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen
from convserve.errors import InvalidArgumentError, TooLargeError
from convserve.explanations import FoundLayer, FoundLayers
from convserve.layers.fields import MAX_SPATIAL_RANK, is_int
from convserve.tensors import Shape

from convserve_server.planning.windows import span

MAX_COMBINATIONS = 10_000  # of the numbers within the bounds: 0.2 s at most
MAX_FOUND = 1000


@frozen(kw_only=True)
class Search:
    """What is looked for, and within which bounds. The layer's numbers are the same on all axes."""

    input_size: Shape
    output_size: Shape
    transposed: bool = False
    max_kernel_size: int = 7
    max_stride: int = 4
    max_padding: int = 3
    max_dilation: int = 1
    max_count: int = 20

    def check(self) -> None:
        """Raise InvalidArgumentError or TooLargeError with the field that is wrong."""
        for name in ("input_size", "output_size"):
            sizes = getattr(self, name)
            if not 1 <= len(sizes) <= MAX_SPATIAL_RANK or not all(is_int(n, 1) for n in sizes):
                raise _wrong(name, sizes, f"1 to {MAX_SPATIAL_RANK} sizes of at least 1")
        if len(self.input_size) != len(self.output_size):
            raise _wrong("output_size", self.output_size, f"{len(self.input_size)} sizes")
        for name in ("max_kernel_size", "max_stride", "max_dilation", "max_count"):
            if not is_int(getattr(self, name), 1):
                raise _wrong(name, getattr(self, name), "an integer of at least 1")
        if not is_int(self.max_padding, 0):
            raise _wrong("max_padding", self.max_padding, "an integer of at least 0")
        _check_limit("max_count", self.max_count, MAX_FOUND)
        _check_limit("the bounds", self.combination_count, MAX_COMBINATIONS)

    @property
    def combination_count(self) -> int:
        """How many layers there are at most: those of one kernel and stride differ in padding."""
        paddings = min(self.max_stride // 2, self.max_padding) + 1
        return self.max_kernel_size * self.max_stride * self.max_dilation * paddings


def find_layers(search: Search) -> FoundLayers:
    """The layers within the bounds that give the size, the simplest first.

    Simplest: without dilation, without output padding, padded alike on both sides, then by the
    smallest kernel, stride and padding.
    """
    search.check()
    find = _transposed if search.transposed else _forward
    found = sorted(
        (each for numbers in _combinations(search) for each in find(search, *numbers)), key=_effort
    )
    kept = tuple(_with_inputs(each, search) for each in found[: search.max_count])
    return FoundLayers(layers=kept, count=len(found), transposed=search.transposed)


def inputs_of(size: int, e: int, stride: int, total: int) -> tuple[int, int]:
    """The first and the last length that windows of span `e`, padded by `total`, take to `size`."""
    first = (size - 1) * stride + e - total
    return max(first, 0), first + stride - 1


def _combinations(search: Search) -> Iterator[tuple[int, int, int]]:
    """(kernel size, stride, dilation); a kernel of 1 has nothing to dilate."""
    for kernel in range(1, search.max_kernel_size + 1):
        for stride in range(1, search.max_stride + 1):
            for dilation in range(1, (search.max_dilation if kernel > 1 else 1) + 1):
                yield kernel, stride, dilation


def _forward(search: Search, kernel: int, stride: int, dilation: int) -> Iterator[FoundLayer]:
    e = span(kernel, dilation)
    pairs = list(zip(search.input_size, search.output_size, strict=True))
    low = max(0, *((out - 1) * stride + e - length for length, out in pairs))
    high = min(out * stride - 1 + e - length for length, out in pairs)
    layer = FoundLayer(kernel_size=kernel, stride=stride, dilation=dilation)
    even = range(-(-low // 2), min(high // 2, search.max_padding) + 1)
    for padding in even:
        yield evolve(layer, padding=((padding, padding),))
    if not even and low <= high and low - low // 2 <= search.max_padding:
        yield evolve(layer, padding=((low // 2, low - low // 2),))


def _transposed(search: Search, kernel: int, stride: int, dilation: int) -> Iterator[FoundLayer]:
    e = span(kernel, dilation)
    pairs = zip(search.input_size, search.output_size, strict=True)
    cuts = {(length - 1) * stride + e - out for length, out in pairs}
    if len(cuts) != 1:
        return
    cut = cuts.pop()  # padding in all, less output padding
    layer = FoundLayer(kernel_size=kernel, stride=stride, dilation=dilation)
    extras = range(max(0, -cut), max(stride, dilation))
    for extra in extras:
        total = cut + extra
        if total % 2 == 0 and total // 2 <= search.max_padding:
            yield evolve(layer, padding=((total // 2, total // 2),), output_padding=extra)
            return
    if extras and (total := cut + extras[0]) - total // 2 <= search.max_padding:
        yield evolve(layer, padding=((total // 2, total - total // 2),), output_padding=extras[0])


def _effort(layer: FoundLayer) -> tuple[object, ...]:
    [(low, high)] = layer.padding
    return (
        layer.dilation,
        layer.output_padding,
        low != high,
        layer.kernel_size,
        layer.stride,
        low + high,
    )


def _with_inputs(layer: FoundLayer, search: Search) -> FoundLayer:
    if search.transposed:
        return evolve(layer, input_low=search.input_size, input_high=search.input_size)
    [(low, high)] = layer.padding
    e = span(layer.kernel_size, layer.dilation)
    ranges = [inputs_of(out, e, layer.stride, low + high) for out in search.output_size]
    firsts, lasts = zip(*ranges, strict=True)
    return evolve(layer, input_low=tuple(max(1, n) for n in firsts), input_high=tuple(lasts))


def _check_limit(name: str, value: int, limit: int) -> None:
    if value > limit:
        raise TooLargeError(
            f"{value} is above the limit of {limit}; look within smaller bounds",
            field=name,
            metadata={"value": value, "limit": limit},
        )


def _wrong(name: str, value: object, want: str) -> InvalidArgumentError:
    shown = str(value)[:80]
    return InvalidArgumentError(
        f"{shown} is not {want}", field=name, metadata={"value": shown, "want": want}
    )
