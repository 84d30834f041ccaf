"""Pictures of plans and layers. They need Matplotlib, the extra `plots`, which is imported here.

`draw_plan` shows memory step by step, shapes and receptive fields; `draw_layer` the arithmetic of
one layer with a window. Both give a `matplotlib.figure.Figure`, and write it where a path is given;
equal calls write equal bytes. The colours are told apart by colour-blind people too (Okabe and Ito,
"Color Universal Design", 2008).
"""

from convserve.errors import UnsupportedError

try:
    from convserve.pictures.layer import draw_layer
    from convserve.pictures.plan import draw_plan
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "matplotlib":
        raise
    raise UnsupportedError(
        "pictures need Matplotlib: pip install 'convserve-client[plots]'"
    ) from None

__all__ = ["draw_layer", "draw_plan"]
