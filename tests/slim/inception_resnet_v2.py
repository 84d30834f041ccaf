"""Inception-ResNet v2."""

from __future__ import annotations

from convserve.networks import Network

from tests.slim.inception_v3 import draw_stem
from tests.slim.sketch import Branch, Sketch, avg_pool, conv, max_pool


def inception_resnet_v2(padding: str) -> Network:
    """Szegedy et al., 2016. `padding` is that of what halves; `same` aligns all feature maps."""
    sketch = Sketch()
    last = draw_stem(sketch, padding)
    last = sketch.join(last, *_mixed_5b(), name="Mixed_5b")
    last = _draw_blocks(sketch, last, 10, _block35(), "")
    last = sketch.join(last, *_mixed_6a(padding), name="Mixed_6a")
    last = _draw_blocks(sketch, last, 20, _block17(), "PreAuxLogits")
    last = sketch.join(last, *_mixed_7a(padding), name="Mixed_7a")
    last = _draw_blocks(sketch, last, 10, _block8(), "")
    sketch.chain(last, conv(1), name="Conv2d_7b_1x1")
    return sketch.network()


def _draw_blocks(
    sketch: Sketch, source: str, count: int, branches: tuple[Branch, ...], name: str
) -> str:
    for index in range(1, count + 1):
        source = sketch.add(source, sketch.join(source, *branches), name if index == count else "")
    return source


def _mixed_5b() -> tuple[Branch, ...]:
    return (
        (conv(1),),
        (conv(1), conv(5)),
        (conv(1), conv(3), conv(3)),
        (avg_pool(3), conv(1)),
    )


def _block35() -> tuple[Branch, ...]:
    return ((conv(1),), (conv(1), conv(3)), (conv(1), conv(3), conv(3)))


def _mixed_6a(padding: str) -> tuple[Branch, ...]:
    return (
        (conv(3, 2, padding),),
        (conv(1), conv(3), conv(3, 2, padding)),
        (max_pool(3, 2, padding),),
    )


def _block17() -> tuple[Branch, ...]:
    return ((conv(1),), (conv(1), conv((1, 7)), conv((7, 1))))


def _mixed_7a(padding: str) -> tuple[Branch, ...]:
    return (
        (conv(1), conv(3, 2, padding)),
        (conv(1), conv(3, 2, padding)),
        (conv(1), conv(3), conv(3, 2, padding)),
        (max_pool(3, 2, padding),),
    )


def _block8() -> tuple[Branch, ...]:
    return ((conv(1),), (conv(1), conv((1, 3)), conv((3, 1))))
