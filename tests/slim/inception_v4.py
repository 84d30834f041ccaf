"""Inception v4."""

from __future__ import annotations

from convserve.networks import Network

from tests.slim.sketch import Branch, Sketch, avg_pool, conv, max_pool


def inception_v4() -> Network:
    """Szegedy et al., 2016."""
    sketch = Sketch()
    last = _draw_stem(sketch)
    for name in "bcde":
        last = sketch.join(last, *_mixed_5(), name=f"Mixed_5{name}")
    last = sketch.join(last, *_mixed_6a(), name="Mixed_6a")
    for name in "bcdefgh":
        last = sketch.join(last, *_mixed_6(), name=f"Mixed_6{name}")
    last = sketch.join(last, *_mixed_7a(), name="Mixed_7a")
    for name in "bcd":
        last = sketch.join(last, *_mixed_7(), name=f"Mixed_7{name}")
    return sketch.network()


def _draw_stem(sketch: Sketch) -> str:
    halving = (max_pool(3, 2, "valid"),), (conv(3, 2, "valid"),)
    last = sketch.chain("input", conv(3, 2, "valid"), name="Conv2d_1a_3x3")
    last = sketch.chain(last, conv(3, 1, "valid"), name="Conv2d_2a_3x3")
    last = sketch.chain(last, conv(3), name="Conv2d_2b_3x3")
    last = sketch.join(last, *halving, name="Mixed_3a")
    last = sketch.join(
        last,
        (conv(1), conv(3, 1, "valid")),
        (conv(1), conv((1, 7)), conv((7, 1)), conv(3, 1, "valid")),
        name="Mixed_4a",
    )
    return sketch.join(last, *halving, name="Mixed_5a")


def _mixed_5() -> tuple[Branch, ...]:
    return (
        (conv(1),),
        (conv(1), conv(3)),
        (conv(1), conv(3), conv(3)),
        (avg_pool(3), conv(1)),
    )


def _mixed_6a() -> tuple[Branch, ...]:
    return (
        (conv(3, 2, "valid"),),
        (conv(1), conv(3), conv(3, 2, "valid")),
        (max_pool(3, 2, "valid"),),
    )


def _mixed_6() -> tuple[Branch, ...]:
    wide, tall = conv((1, 7)), conv((7, 1))
    return (
        (conv(1),),
        (conv(1), wide, tall),
        (conv(1), tall, wide, tall, wide),
        (avg_pool(3), conv(1)),
    )


def _mixed_7a() -> tuple[Branch, ...]:
    return (
        (conv(1), conv(3, 2, "valid")),
        (conv(1), conv((1, 7)), conv((7, 1)), conv(3, 2, "valid")),
        (max_pool(3, 2, "valid"),),
    )


def _mixed_7() -> tuple[Branch, ...]:
    """Where a branch forks, both of its ends have their own copy of it."""
    wide, tall = conv((1, 3)), conv((3, 1))
    return (
        (conv(1),),
        (conv(1), wide),
        (conv(1), tall),
        (conv(1), tall, wide, wide),
        (conv(1), tall, wide, tall),
        (avg_pool(3), conv(1)),
    )
