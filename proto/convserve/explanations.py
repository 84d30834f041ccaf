"""One layer explained, and layers that were looked for: frozen values, the same on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING

from attrs import frozen

from convserve.errors import InvalidArgumentError
from convserve.layers import Layer
from convserve.layers.fields import Ints, Pairs
from convserve.plans import LayerPlan
from convserve.tensors import TensorSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


@frozen(kw_only=True)
class Change:
    """One edit that makes an impossible layer possible, and what it gives.

    `edit` is such as `padding=1`; `gives` the result's spatial sizes, such as `224`; `distance` how
    much it changes, by which changes are sorted.
    """

    edit: str
    gives: str
    distance: int = 0


@frozen(kw_only=True)
class Rendering:
    """The layer in another framework's words, and what a runtime of it makes of them.

    `spelling` is word for word; empty where there are no words for it. `outcome` is `same`,
    `shifted` (same shape, but windows begin elsewhere), `other_values`, `other_shape`, `refused`,
    `accepted` (it runs what convserve refuses) or `inexpressible`; `message` says why. `shift` is
    how many elements earlier the first window begins, per spatial axis. `exact` says the same layer
    exactly, where the spelling says another one.
    """

    dialect: str
    runtime: str = ""
    version: str = ""
    spelling: str = ""
    outcome: str = ""
    output_shape: Ints = ()
    shift: Ints = ()
    message: str = ""
    exact: str = ""
    weights: str = ""


@frozen(kw_only=True)
class Explanation:
    """One layer: what it is, what it does, or why it cannot be and what could.

    `text` is the layer in our words. Where it is impossible, `plan` is None, `problem` says why,
    and `changes` are the nearest layers that are possible, the nearest first. They are also there
    where the result is not of the size that was wanted.
    """

    dialect: str
    text: str
    inputs: tuple[TensorSpec, ...] = ()
    layer: Layer | None = None
    plan: LayerPlan | None = None
    problem: str = ""
    problem_field: str = ""
    changes: tuple[Change, ...] = ()
    renderings: tuple[Rendering, ...] = ()
    notes: tuple[str, ...] = ()

    def plot(self, path: str | PathLike[str] | None = None) -> Picture:
        """Draw the layer's arithmetic: its input with padding, a window, and what output it makes.

        The result is a `matplotlib.figure.Figure`; `path` is a file to write it to: .svg, .png or
        .pdf. Raises InvalidArgumentError for an impossible layer, and UnsupportedError for one
        without windows, or without Matplotlib, the extra `plots`.
        """
        if self.plan is None:
            raise InvalidArgumentError(
                f"there is nothing to draw: {self.problem}", field=self.problem_field
            )
        from convserve.pictures import draw_layer

        return draw_layer(self.plan.resolved, self.inputs[0].shape, self.plan.output.shape, path)

    def __str__(self) -> str:
        from convserve.explaining import layer_explanation_text  # reads this: not at import

        return layer_explanation_text(self)


@frozen(kw_only=True)
class FoundLayer:
    """The numbers of a layer that gives the wanted size, the same on every axis.

    `input_low` to `input_high` are the inputs that give the same output, per axis: a stride above 1
    has several collapse to one.
    """

    kernel_size: int
    stride: int = 1
    padding: Pairs = ((0, 0),)
    dilation: int = 1
    output_padding: int = 0
    input_low: Ints = ()
    input_high: Ints = ()


@frozen(kw_only=True)
class FoundLayers:
    """Layers that give the wanted size, the simplest first, and how many there are in all."""

    layers: tuple[FoundLayer, ...] = ()
    count: int = 0
    transposed: bool = False

    def __iter__(self) -> Iterator[FoundLayer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        from convserve.explaining import found_table  # reads this: not at import

        return found_table(self)
