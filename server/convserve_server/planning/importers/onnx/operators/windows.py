"""What convolutions and pools share: windows and their padding."""

from __future__ import annotations

from typing import Any

from convserve.errors import InvalidArgumentError
from convserve.layers.fields import Pairs

from convserve_server.planning.importers.onnx.call import Call

SAME = ("same_upper", "same_lower")
_MODES = {"SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower", "VALID": "valid"}


def pairs(call: Call, pads: tuple[int, ...], rank: int) -> Pairs:
    """ONNX's padding, all beginnings before all ends, as (low, high) per axis."""
    if len(pads) != 2 * rank:
        raise InvalidArgumentError(f"its pads {pads} are not 2 numbers for each of {rank} axes")
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def padding(call: Call, rank: int) -> str | Pairs:
    """The attributes `auto_pad` and `pads`."""
    mode, pads = call.text("auto_pad", "NOTSET"), call.integers("pads")
    if mode == "NOTSET":
        return pairs(call, pads, rank) if pads else ((0, 0),) * rank
    if mode not in _MODES:
        raise InvalidArgumentError(f"its auto_pad is {mode!r}; use NOTSET, {', '.join(_MODES)}")
    if pads and any(pads):
        raise InvalidArgumentError(f"it has auto_pad {mode} and pads {pads}; give one of them")
    return _MODES[mode]


def per_axis(call: Call, name: str, rank: int) -> tuple[int, ...]:
    """One positive integer per spatial axis, 1 by default."""
    found = call.integers(name) or (1,) * rank
    if len(found) != rank:
        raise InvalidArgumentError(f"its {name} {found} are not one for each of {rank} axes")
    return found


def window(call: Call, kernel_size: tuple[int, ...]) -> dict[str, Any]:
    """The fields of a layer with windows of this size, but for the size."""
    rank = len(kernel_size)
    stride, pads = per_axis(call, "strides", rank), padding(call, rank)
    gaps = (step - size for step, size in zip(stride, kernel_size, strict=True))
    if pads in SAME and max(gaps, default=0) > 1:
        call.building.note(
            "windows of auto_pad SAME that leave gaps begin at the first element, as TensorFlow's; "
            "ONNX Runtime shifts them for some input sizes"
        )
    return {
        "stride": stride,
        "padding": pads,
        "dilation": per_axis(call, "dilations", rank),
    }
