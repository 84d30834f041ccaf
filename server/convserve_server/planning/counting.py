"""A layer's operations under every convention that tools count by, and which tool prints which.

What the tools print was read off their sources and measured side by side: torchinfo 5c4164f1, thop
43c064af, fvcore 3378afe0, ptflops d612c754, calflops 29ca5844, and torch.utils.flop_counter of
torch 2.13. Some of it is wrong, and is named as what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from convserve.layers import (
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Layer,
    MaxPool,
)
from convserve.plans import Count

from convserve_server.planning.axes import windows_of
from convserve_server.planning.graph import Node
from convserve_server.planning.windows import Window

MAC_TOOLS = (
    *("fvcore", "thop", "ptflops", "ptflops (aten)", "torchinfo", "calflops"),
    "torchvision's GFLOPS",
)
FLOP_COUNTER = "torch.utils.flop_counter"
BY_MODULE = ("torchinfo", "thop", "ptflops")  # they count modules, and miss calls of functions


def count_operations(node: Node, batch: int) -> tuple[Count, ...]:
    """Every count of the layer for `batch` samples; none for a layer without products.

    A pool has what ptflops prints for it. Equal numbers under several names are all told.
    """
    if isinstance(node.layer, MaxPool | AvgPool):
        return (_pool_elements(node, batch),)
    if not node.mac_count:
        return ()
    if isinstance(node.layer, Conv | DepthwiseConv):
        return tuple(_conv_counts(node, node.layer, batch))
    if isinstance(node.layer, ConvTranspose):
        return tuple(_transposed_counts(node, node.layer, batch))
    return tuple(_plain_counts(node, batch))


def _conv_counts(node: Node, layer: Conv | DepthwiseConv, batch: int) -> Iterator[Count]:
    macs, bias = batch * node.mac_count, batch * _bias_count(node)
    is_same = _is_same(node.given, layer)
    odd = is_same and any((window.span - 1) % 2 for window in windows_of(layer, node.shapes[0]))
    silent = {"fvcore"} if is_same else set()
    wrong = silent | ({"calflops"} if odd else set())
    yield from _macs(macs, bias, wrong)
    yield _touched(macs, _real_share(windows_of(layer, node.shapes[0])))
    if silent:
        yield _count("unsupported", 0, "padding given as a mode is not traced", "fvcore")
    if odd:
        yield _half_padded(node, layer, batch)
    yield from _flops(macs, bias, wrong)
    yield from _backward(macs, _groups(node, layer))
    yield _functional()


def _transposed_counts(node: Node, layer: ConvTranspose, batch: int) -> Iterator[Count]:
    macs, bias = batch * node.mac_count, batch * _bias_count(node)
    each = layer.out_channels // layer.groups
    by_tool = macs // each * (each // layer.groups)  # groups divide the channels twice
    wrong = {"torchinfo", "thop"} | ({"calflops"} if by_tool != macs else set())
    yield from _macs(macs, bias, wrong)
    yield _touched(macs, _kept_share(node, layer))
    yield from _by_output(node, layer, batch)
    if "calflops" in wrong:
        meaning = "wrong: output channels of one group, divided by groups once more"
        yield _count("mac_groups_divided_twice", by_tool, meaning, "calflops")
    yield from _flops(macs, bias, wrong)
    yield from _backward(macs, layer.groups)
    yield _functional()


def _plain_counts(node: Node, batch: int) -> Iterator[Count]:
    macs, bias = batch * node.mac_count, batch * _bias_count(node)
    tools = MAC_TOOLS if isinstance(node.layer, Dense) else ()
    yield _count("mac", macs, "products of every output element, bias not", *tools)
    yield _count("mac_with_bias", macs + bias, "and one for every bias that is added")
    yield _count("flop", 2 * macs, "2 for each product")
    yield _count("flop_with_bias", 2 * macs + bias, "and 1 for every bias that is added")


def _macs(macs: int, bias: int, wrong: set[str]) -> Iterator[Count]:
    """The dense count, with and without bias; torchinfo and ptflops take the bias for a product."""
    with_bias = {"torchinfo", "ptflops", "ptflops (aten)"} if bias else set()
    plain = [tool for tool in MAC_TOOLS if tool not in wrong | with_bias]
    meaning = "products with padding taps, bias not; transposed by input"
    yield _count("mac", macs, meaning, *plain)
    told = sorted(with_bias - wrong)
    yield _count("mac_with_bias", macs + bias, "and one for every bias that is added", *told)


def _flops(macs: int, bias: int, wrong: set[str]) -> Iterator[Count]:
    tools = [] if "calflops" in wrong else ["calflops' FLOPS"]
    yield _count("flop", 2 * macs, "2 for each product", FLOP_COUNTER)
    yield _count("flop_with_bias", 2 * macs + bias, "and 1 for every bias that is added", *tools)


def _backward(macs: int, groups: int) -> Iterator[Count]:
    """Both gradients take as many products as the result; torch's counter forgets the groups."""
    tools = () if groups > 1 else (FLOP_COUNTER,)
    yield _count("backward_flop", 4 * macs, "2 for each product of both gradients", *tools)
    if groups > 1:
        meaning = "wrong: the weight's gradient as if there were no groups"
        yield _count("backward_flop_dense", 2 * macs + 2 * macs * groups, meaning, FLOP_COUNTER)


def _functional() -> Count:
    meaning = "what tools that count modules print for a call of a function, such as F.conv2d"
    return _count("mac_of_a_function", 0, meaning, *BY_MODULE)


def _touched(macs: int, share: tuple[int, int]) -> Count:
    """The products whose tap lies on an element that is really there (or is kept)."""
    real, dense = share
    meaning = "products that touch a real element; of transposed layers, that are not cut"
    return _count("mac_without_padding", macs // dense * real if dense else 0, meaning)


def _half_padded(node: Node, layer: Conv | DepthwiseConv, batch: int) -> Count:
    """Calflops pads both sides by half of e - 1, rounded down."""
    windows = windows_of(layer, node.shapes[0])
    sizes = [w.length + 2 * ((w.span - 1) // 2) - w.span + 1 for w in windows]
    outputs = math.prod(node.output.shape[1:])
    value = batch * node.mac_count // outputs * math.prod(sizes) if outputs else 0
    meaning = "wrong: `same` as one number for both sides, which loses an element"
    return _count("mac_half_padding", value, meaning, "calflops")


def _by_output(node: Node, layer: ConvTranspose, batch: int) -> Iterator[Count]:
    """Torchinfo and thop take a transposed layer for a convolution."""
    positions = batch * math.prod(node.output.shape[1:])
    taps = math.prod(node.parameters[0].shape)
    meaning = "wrong: a transposed layer's weights times the positions of its result"
    if not layer.bias:
        yield _count("mac_by_output", taps * positions, meaning, "thop", "torchinfo")
        return
    yield _count("mac_by_output", taps * positions, meaning, "thop")
    value = (taps + layer.out_channels) * positions
    yield _count("mac_by_output_with_bias", value, meaning, "torchinfo")


def _pool_elements(node: Node, batch: int) -> Count:
    value = 2 * batch * math.prod(node.shapes[0])
    meaning = "no product: input elements, once for the module and once for the function in it"
    return _count("pool_input_elements", value, meaning, "ptflops")


def _count(convention: str, value: int, meaning: str, *tools: str) -> Count:
    return Count(convention=convention, value=value, meaning=meaning, tools=tools)


def _bias_count(node: Node) -> int:
    return math.prod(node.output.shape) if getattr(node.layer, "bias", False) else 0


def _groups(node: Node, layer: Conv | DepthwiseConv) -> int:
    return layer.groups if isinstance(layer, Conv) else node.shapes[0][0]


def _is_same(given: Layer, layer: Conv | DepthwiseConv) -> bool:
    """Whether PyTorch's users write padding="same" for it: it has that for stride 1 only."""
    padding = getattr(given, "padding", None)
    return padding in ("same", "same_upper") and set(layer.stride) == {1}


def _real_share(windows: tuple[Window, ...]) -> tuple[int, int]:
    """(taps on real elements, all taps), over all output positions of a channel."""
    real = math.prod(
        _hits(w.count, w.stride, w.kernel_size, w.dilation, w.low, w.length) for w in windows
    )
    return real, math.prod(w.count * w.kernel_size for w in windows)


def _kept_share(node: Node, layer: ConvTranspose) -> tuple[int, int]:
    """(products that are kept, all products), over all input positions of a channel."""
    windows = windows_of(layer, node.shapes[0])
    sizes = node.output.shape[1:]
    kept = math.prod(
        _hits(w.length, w.stride, w.kernel_size, w.dilation, w.low, size)
        for w, size in zip(windows, sizes, strict=True)
    )
    return kept, math.prod(w.length * w.kernel_size for w in windows)


def _hits(count: int, stride: int, kernel: int, dilation: int, low: int, length: int) -> int:
    """How many (o, t) have 0 <= o * stride + t * dilation - low < length; exact, in O(log)."""
    up_to = _pairs_up_to(low + length - 1, count, stride, kernel, dilation)
    return up_to - _pairs_up_to(low - 1, count, stride, kernel, dilation)


def _pairs_up_to(limit: int, count: int, stride: int, kernel: int, dilation: int) -> int:
    """How many (o, t), o < count and t < kernel, have o * stride + t * dilation <= limit."""
    if limit < 0:
        return 0
    room = limit - (kernel - 1) * dilation
    full = min(count, room // stride + 1) if room >= 0 else 0  # each of these has all its taps
    some = min(count, limit // stride + 1)  # each of these has at least one
    rest = limit - (some - 1) * stride  # of the last of them
    return full * kernel + _floor_sum(some - full, dilation, stride, rest) + (some - full)


def _floor_sum(n: int, m: int, a: int, b: int) -> int:
    """The sum of floor((a * i + b) / m) for i from 0 to n - 1, as Euclid's algorithm goes."""
    total = 0
    while n > 0:
        total += (n - 1) * n // 2 * (a // m) + n * (b // m)
        a, b = a % m, b % m
        top = a * n + b
        n, b = divmod(top, m)
        m, a = a, m
        if not m:
            break
    return total
