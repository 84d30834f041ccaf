"""One layer in every dialect: the same words, and what each runtime makes of them."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from convserve.errors import ConvserveError
from convserve.explanations import Rendering
from convserve.layers import Layer
from convserve.tensors import Shape

from convserve_server.planning.axes import axis_names
from convserve_server.planning.dialects import DIALECTS, NATIVE
from convserve_server.planning.dialects.dialect import (
    Dialect,
    InexpressibleError,
    Placement,
    RefusedError,
    Runtime,
)
from convserve_server.planning.dialects.native import write_native
from convserve_server.planning.dialects.words import POOLS, TRANSPOSED, Words, words_of
from convserve_server.planning.layers import rule_of

_TAKEN = ("same", "shifted", "other_values")


@frozen
class Canon:
    """The layer that all are compared with: what planning makes of it, or why it refuses it."""

    placements: tuple[Placement, ...] = ()
    resolved: Layer | None = None
    problem: str = ""

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The result's spatial sizes."""
        return tuple(each.size for each in self.placements)


def render(
    layer: Layer | None, words: Words | None, shape: Shape, batch: int, *, everyone: bool
) -> tuple[Rendering, ...]:
    """The layer in our words, then a row for each dialect, or for `everyone` who runs one.

    `words` are the layer as it was written, `layer` is what that means; None: no layer of ours
    says it. `shape` is that of one sample (C, *L). Layers without windows have one row only.
    """
    if words is None:
        return (_own(layer, ""),)
    canon = _canon(layer, shape)
    words = words.spread(len(shape) - 1)
    rows = [
        row
        for dialect in DIALECTS.values()
        for row in _rows(dialect, words, canon, shape, batch, everyone=everyone)
    ]
    return (_own(layer, canon.problem), *rows)


def is_taken(dialect: str, layer: Layer, shape: Shape) -> bool:
    """Whether a dialect has words for a layer, and its first runtime gives what we do of (C, *L).

    Where its windows begin, and what they hold beside the input, may differ. We take our own words.
    """
    words = words_of(layer, shape[0])
    if dialect == NATIVE or words is None:
        return True
    words = words.spread(len(shape) - 1)
    rows = _rows(DIALECTS[dialect], words, _canon(layer, shape), shape, 1, everyone=False)
    return all(row.outcome in _TAKEN for row in rows)


def _own(layer: Layer | None, problem: str) -> Rendering:
    if layer is None:
        return Rendering(dialect=NATIVE, runtime=NATIVE, outcome="inexpressible")
    outcome, spelling = "refused" if problem else "same", write_native(layer)
    return Rendering(dialect=NATIVE, runtime=NATIVE, outcome=outcome, spelling=spelling)


def _canon(layer: Layer | None, shape: Shape) -> Canon:
    if layer is None:
        return Canon(problem="no layer of convserve says it")
    rule = rule_of(layer)
    try:
        resolved = rule.resolve(layer, (shape,))
    except ConvserveError as error:
        return Canon(problem=error.message)
    sizes = rule.output_shape(resolved, (shape,))[1:]
    lows = (low for low, _ in resolved.padding)
    placements = tuple(Placement(size, low) for size, low in zip(sizes, lows, strict=True))
    return Canon(placements, resolved)


def _rows(
    dialect: Dialect, words: Words, canon: Canon, shape: Shape, batch: int, *, everyone: bool
) -> Iterator[Rendering]:
    able = [runtime for runtime in dialect.runtimes if words.kind in runtime.rules]
    try:
        spelling = dialect.write(words)
    except InexpressibleError as error:
        exact = _exact(dialect, dialect.runtimes[0], words, canon, shape)
        yield Rendering(
            dialect=dialect.name, outcome="inexpressible", message=str(error), exact=exact
        )
        return
    for runtime in able if everyone else able[:1]:
        result = _outcome(runtime, words, canon, shape)
        is_other = result.outcome not in ("same", "accepted")
        yield Rendering(
            dialect=dialect.name,
            runtime=runtime.name,
            version=runtime.version,
            spelling=runtime.write(words) if runtime.write else spelling,
            outcome=result.outcome,
            output_shape=_shape(result.placements, words, batch),
            shift=result.shift,
            message=result.message,
            exact=_exact(dialect, runtime, words, canon, shape) if is_other else "",
            weights=dialect.weights.get(words.kind, ""),
        )


@frozen
class _Result:
    outcome: str
    placements: tuple[Placement, ...] = ()
    shift: tuple[int, ...] = ()
    message: str = ""


def _outcome(runtime: Runtime, words: Words, canon: Canon, shape: Shape) -> _Result:
    try:
        found = runtime.place(words, shape)
    except RefusedError as error:
        return _Result("refused", message=str(error))
    notes = "; ".join(dict.fromkeys(each.note for each in found if each.note))
    if canon.problem:
        joint = "; " if notes else ""
        return _Result("accepted", found, message=f"{notes}{joint}convserve: {canon.problem}")
    if tuple(each.size for each in found) != canon.sizes:
        wanted = "×".join(map(str, canon.sizes))
        return _Result("other_shape", found, message=notes or f"here it is {wanted}")
    pairs = zip(found, canon.placements, strict=True)
    shift = tuple(there.low - here.low for there, here in pairs)
    if any(shift):
        return _Result("shifted", found, shift, _explain_shift(words, shift))
    divisor = _explain_divisor(runtime, words, canon)
    if notes or divisor:
        return _Result("other_values", found, shift, notes or divisor)
    return _Result("same", found, shift)


def _explain_shift(words: Words, shift: tuple[int, ...]) -> str:
    """Which axes begin elsewhere, and by how much."""
    lines = []
    for axis, count in zip(axis_names(len(shift)), shift, strict=True):
        if not count:
            continue
        is_early = (count > 0) != (words.kind == TRANSPOSED)
        what = "the result begins" if words.kind == TRANSPOSED else "windows begin"
        lines.append(f"{axis}: {what} {abs(count)} {'earlier' if is_early else 'later'}")
    return "; ".join(lines)


def _explain_divisor(runtime: Runtime, words: Words, canon: Canon) -> str:
    if words.kind != "avg_pool" or runtime.counts_padding in (None, words.count_include_pad):
        return ""
    padding = getattr(canon.resolved, "padding", ())
    if not any(number for pair in padding for number in pair):
        return ""
    return f"the mean {'counts' if runtime.counts_padding else 'leaves out'} padding"


def _shape(placements: tuple[Placement, ...], words: Words, batch: int) -> tuple[int, ...]:
    """The whole shape, as far as the runtime tells it."""
    shape = [batch, words.result_channels]
    for placement in placements:
        if placement.size is None:
            break
        shape.append(placement.size)
    return tuple(shape) if placements else ()


def _exact(dialect: Dialect, runtime: Runtime, words: Words, canon: Canon, shape: Shape) -> str:
    """A way to say exactly the layer that is meant, with its padding in numbers; or none."""
    if canon.resolved is None:
        return ""
    numbers = words_of(canon.resolved, words.in_channels)
    assert numbers is not None  # it has windows, for it had words
    numbers = numbers.spread(words.rank)
    if words.kind not in runtime.rules:
        return ""
    try:
        spelling = dialect.write(numbers)
        if _outcome(runtime, numbers, canon, shape).outcome == "same":
            return spelling
    except InexpressibleError:
        pass
    try:
        runtime.check(numbers, shape)
        return dialect.exact(numbers) if dialect.exact and words.kind not in POOLS else ""
    except (InexpressibleError, RefusedError):
        return ""
