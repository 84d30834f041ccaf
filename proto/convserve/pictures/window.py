"""What one output of a layer sees along each spatial axis, in coordinates that can be drawn."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from convserve.errors import UnsupportedError
from convserve.layers import ConvTranspose, Layer, kind_of
from convserve.tensors import Shape

MAX_SHOWN_AXES = 2


@frozen
class AxisView:
    """One spatial axis: its coordinates are those of the input, spread out for a transposed layer.

    Output o sees the coordinates o * step - low + dilation * k for k below `kernel`. Input i is at
    i * spread; what lies between is zero, what lies outside is padding.
    """

    size: int
    output: int
    kernel: int
    dilation: int
    low: int
    high: int
    step: int
    spread: int
    formula: str

    @property
    def extent(self) -> int:
        """Coordinates from the first input to the last."""
        return (self.size - 1) * self.spread + 1 if self.size else 0

    @property
    def reach(self) -> int:
        """Coordinates from the first tap of a window to its last."""
        return self.dilation * (self.kernel - 1) + 1

    def taps(self, output: int) -> list[int]:
        """The coordinates that an output sees."""
        start = output * self.step - self.low
        return [start + self.dilation * tap for tap in range(self.kernel)]

    def seen(self, output: int) -> list[int]:
        """The inputs among them."""
        return [tap // self.spread for tap in self.taps(output) if self.kind(tap) == "input"]

    def kind(self, coordinate: int) -> str:
        """What is at a coordinate: input, zero or padding."""
        if not 0 <= coordinate < self.extent:
            return "padding"
        return "zero" if coordinate % self.spread else "input"


def axis_views(layer: Layer, input_shape: Shape, output_shape: Shape) -> list[AxisView]:
    """The last two spatial axes, or the only one, of a layer whose fields are all numbers.

    Shapes are (N, C, *L). Raises UnsupportedError for a layer without a window, such as `relu`, or
    one that planning has not resolved, such as one with padding "same".
    """
    windows = getattr(layer, "kernel_size", None)
    padding = getattr(layer, "padding", ((0, 0),))
    if windows is None or isinstance(padding, str) or len(input_shape) != len(output_shape):
        raise UnsupportedError(
            f"{kind_of(layer)} has no windows to draw: use a resolved layer with a kernel_size",
            field="layer",
        )
    rank = len(input_shape) - 2
    strides = getattr(layer, "stride", None) or windows
    numbers = zip(
        input_shape[2:],
        output_shape[2:],
        _per_axis(windows, rank),
        _per_axis(strides, rank),
        _per_axis(padding, rank),
        _per_axis(getattr(layer, "dilation", (1,)), rank),
        strict=True,
    )
    make = _transposed if isinstance(layer, ConvTranspose) else _direct
    return [make(*each) for each in numbers][-MAX_SHOWN_AXES:]


def _direct(
    size: int, output: int, kernel: int, stride: int, pair: tuple[int, int], dilation: int
) -> AxisView:
    low, high = pair
    reach = dilation * (kernel - 1) + 1
    opening, closing = "⌊⌋" if (size + low + high - reach) // stride + 1 == output else "⌈⌉"
    parts = f"({size} + {low} + {high} − {reach}) / {stride}"
    formula = f"{opening}{parts}{closing} + 1 = {output}{_reach_text(kernel, dilation)}"
    return AxisView(size, output, kernel, dilation, low, high, stride, 1, formula)


def _transposed(
    size: int, output: int, kernel: int, stride: int, pair: tuple[int, int], dilation: int
) -> AxisView:
    """As a layer of stride 1 over inputs `stride` apart, with the rest of the kernel as padding.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", section 4.
    """
    low, high = pair
    reach = dilation * (kernel - 1) + 1
    extra = output - ((size - 1) * stride - low - high + reach)
    formula = f"({size} − 1) · {stride} − {low} − {high} + {reach} + {extra} = {output}"
    formula += _reach_text(kernel, dilation)
    return AxisView(
        size,
        output,
        kernel,
        dilation,
        reach - 1 - low,
        reach - 1 - high + extra,
        1,
        stride,
        formula,
    )


def _reach_text(kernel: int, dilation: int) -> str:
    if dilation == 1:
        return ""
    return f", with a window of {dilation} · ({kernel} − 1) + 1 = {dilation * (kernel - 1) + 1}"


def _per_axis(values: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    return values * rank if len(values) == 1 else values
