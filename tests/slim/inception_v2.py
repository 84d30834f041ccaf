"""Inception v2."""

from __future__ import annotations

from convserve.layers import SeparableConv
from convserve.networks import Network

from tests.slim.sketch import Branch, Sketch, avg_pool, conv, max_pool


def inception_v2(*, separable: bool) -> Network:
    """Ioffe and Szegedy, 2015; the first convolution is a separable one or not."""
    first = SeparableConv(1, 7, 2, "same") if separable else conv(7, 2)
    sketch = Sketch()
    last = sketch.chain("input", first, name="Conv2d_1a_7x7")
    last = sketch.chain(last, max_pool(3, 2), name="MaxPool_2a_3x3")
    last = sketch.chain(last, conv(1), name="Conv2d_2b_1x1")
    last = sketch.chain(last, conv(3), name="Conv2d_2c_3x3")
    last = sketch.chain(last, max_pool(3, 2), name="MaxPool_3a_3x3")
    for name in ("3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "5c"):
        branches = _halving() if name in ("4a", "5a") else _mixed(name == "5c")
        last = sketch.join(last, *branches, name=f"Mixed_{name}")
    return sketch.network()


def _mixed(has_maximum: bool) -> tuple[Branch, ...]:
    pool = max_pool(3, 1) if has_maximum else avg_pool(3)
    return ((conv(1),), (conv(1), conv(3)), (conv(1), conv(3), conv(3)), (pool, conv(1)))


def _halving() -> tuple[Branch, ...]:
    return ((conv(1), conv(3, 2)), (conv(1), conv(3), conv(3, 2)), (max_pool(3, 2),))
