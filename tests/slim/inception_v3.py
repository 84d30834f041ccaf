"""Inception v3."""

from __future__ import annotations

from convserve.networks import Network

from tests.slim.sketch import Branch, Sketch, avg_pool, conv, max_pool


def inception_v3() -> Network:
    """Szegedy et al., 2015."""
    sketch = Sketch()
    last = draw_stem(sketch, "valid")
    for name in "bcd":
        last = sketch.join(last, *_mixed_5(), name=f"Mixed_5{name}")
    last = sketch.join(last, *_mixed_6a(), name="Mixed_6a")
    for name in "bcde":
        last = sketch.join(last, *_mixed_6(), name=f"Mixed_6{name}")
    last = sketch.join(last, *_mixed_7a(), name="Mixed_7a")
    for name in "bc":
        last = sketch.join(last, *_mixed_7(), name=f"Mixed_7{name}")
    return sketch.network()


def draw_stem(sketch: Sketch, padding: str) -> str:
    """The layers before the first mixed one, which Inception-ResNet v2 has too."""
    last = sketch.chain("input", conv(3, 2, padding), name="Conv2d_1a_3x3")
    last = sketch.chain(last, conv(3, 1, padding), name="Conv2d_2a_3x3")
    last = sketch.chain(last, conv(3), name="Conv2d_2b_3x3")
    last = sketch.chain(last, max_pool(3, 2, padding), name="MaxPool_3a_3x3")
    last = sketch.chain(last, conv(1), name="Conv2d_3b_1x1")
    last = sketch.chain(last, conv(3, 1, padding), name="Conv2d_4a_3x3")
    return sketch.chain(last, max_pool(3, 2, padding), name="MaxPool_5a_3x3")


def _mixed_5() -> tuple[Branch, ...]:
    return (
        (conv(1),),
        (conv(1), conv(5)),
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
        (conv(1), conv(3), wide),
        (conv(1), conv(3), tall),
        (avg_pool(3), conv(1)),
    )
