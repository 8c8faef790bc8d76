"""Binary operators between two vectors: which elements belong together, and what comes of them.

Who matches whom is decided once for all steps; only whether both are there differs from step to
step. Source: prometheus/promql/engine.go, VectorBinop, VectorAnd, VectorOr, VectorUnless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.model import METRIC_NAME, Labels
from exporter.promql.arithmetic import COMPARISONS, OPERATORS
from exporter.promql.arrays import Mask, Samples
from exporter.promql.ast import Card, Matching
from exporter.promql.errors import ExecutionError
from exporter.promql.labelsets import (
    dropper,
    format_labelset,
    groups_of,
    keeper,
    value_of,
    with_label,
    without_metadata,
)
from exporter.promql.series import Series, concatenated, empty, merged, simplified

_Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Signatures:
    """What the elements of both sides are matched by. left, right: (n,) and (m,) numbers below `count`."""

    left: _Codes
    right: _Codes
    count: int

    @staticmethod
    def of(left: Series, right: Series, matching: Matching) -> _Signatures:
        signature = keeper(matching.labels) if matching.on else dropper((*matching.labels, METRIC_NAME))
        keys = [signature(labels) for labels in (*left.labels, *right.labels)]
        codes, firsts = groups_of(keys)
        numbers = np.array(codes, dtype=np.intp)
        return _Signatures(numbers[: len(left)], numbers[len(left) :], len(firsts))


def set_operation(op: str, left: Series, right: Series, matching: Matching) -> Series:
    """`and`, `or`, `unless`."""
    signatures = _Signatures.of(left, right, matching)
    if op == "or":
        taken = _presence(left, signatures.left, signatures.count)
        extra = right.where(~taken[signatures.right]).pruned()
        return merged(concatenated((left, extra), left.values.shape[1]))
    there = _presence(right, signatures.right, signatures.count)[signatures.left]
    return left.where(there if op == "and" else ~there).pruned()


def _presence(series: Series, codes: _Codes, count: int) -> Mask:
    """Where each signature has an element. Shape (count, k)."""
    there = np.zeros((count, series.values.shape[1]), dtype=bool)
    np.logical_or.at(there, codes, series.mask())
    return there


def operation(
    op: str, left: Series, right: Series, matching: Matching, return_bool: bool, require: Callable[[int], None]
) -> Series:
    """Arithmetic and comparisons. Raises ExecutionError where it is not clear who matches whom.

    `require` is told how many points there will be before they are made, and may raise.
    """
    swapped = matching.card is Card.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    steps = left.values.shape[1]
    if not len(many) or not len(one):
        return empty(steps)
    signatures = _Signatures.of(many, one, matching)
    _check_one_side(many, one, signatures.right, matching)
    pairs = _Pairs.of(signatures)
    require(len(pairs.codes) * steps)
    many, one = _picked(many, pairs.many), _picked(one, pairs.one)
    matched = _both(many.present, one.present)
    labels = _result_labels(many, one, op, matching)
    _check_matches(labels, pairs, matched, matching.card, steps)
    sides = (one.values, many.values) if swapped else (many.values, one.values)
    # arithmetic has taken the name already, and `group_left (__name__)` may have brought another
    drop_name = (many.drop_name & (op in COMPARISONS)) | return_bool
    return merged(_computed(op, sides, return_bool, Series(labels, many.values, matched, drop_name)))


def _computed(op: str, sides: tuple[Samples, Samples], return_bool: bool, matched: Series) -> Series:
    left, right = sides
    if op in OPERATORS:
        return Series(matched.labels, OPERATORS[op](left, right), matched.present, matched.drop_name)
    kept = COMPARISONS[op](left, right)
    if return_bool:
        return Series(matched.labels, kept.astype(float), matched.present, matched.drop_name)
    return Series(matched.labels, left, matched.present, matched.drop_name).where(kept).pruned()


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Rows of the "many" and of the "one" side that match, and their signature. Each of shape (p,)."""

    many: _Codes
    one: _Codes
    codes: _Codes

    @staticmethod
    def of(signatures: _Signatures) -> _Pairs:
        order = np.argsort(signatures.right, kind="stable")
        ordered = signatures.right[order]
        starts = np.searchsorted(ordered, signatures.left, side="left")
        counts = np.searchsorted(ordered, signatures.left, side="right") - starts
        many = np.repeat(np.arange(len(signatures.left)), counts)
        within = np.arange(len(many)) - np.repeat(np.cumsum(counts) - counts, counts)
        return _Pairs(many, order[np.repeat(starts, counts) + within], signatures.left[many])


def _picked(series: Series, rows: _Codes) -> Series:
    if len(rows) == len(series) and (rows == np.arange(len(rows))).all():
        return series
    return series.rows(rows)


def _both(left: Mask | None, right: Mask | None) -> Mask | None:
    if left is None or right is None:
        return right if left is None else left
    return simplified(left & right)


def _result_labels(many: Series, one: Series, op: str, matching: Matching) -> list[Labels]:
    change = _label_change(op, matching)
    if not matching.include:
        return [change(labels) for labels in many.labels]
    return [
        _with_included(change(labels), other, matching.include)
        for labels, other in zip(many.labels, one.labels, strict=True)
    ]


def _label_change(op: str, matching: Matching) -> Callable[[Labels], Labels]:
    """From the "many" side's labels to the result's. Source: prometheus/promql/engine.go, resultMetric."""
    if matching.card is not Card.ONE_TO_ONE:
        return without_metadata if op in OPERATORS else lambda labels: labels
    select = keeper(matching.labels) if matching.on else dropper(matching.labels)
    if op in OPERATORS:
        return lambda labels: select(without_metadata(labels))
    return select


def _with_included(labels: Labels, other: Labels, include: tuple[str, ...]) -> Labels:
    for name in include:
        labels = with_label(labels, name, value_of(other, name))
    return labels


def _check_one_side(many: Series, one: Series, codes: _Codes, matching: Matching) -> None:
    """On the "one" side no two elements may share a signature at the same step."""
    repeated = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if not len(repeated):
        return
    busy = np.asarray(many.mask().any(axis=0))  # where the other side is empty, nothing is matched at all
    there = np.zeros((int(codes.max()) + 1, len(busy)), dtype=np.intp)
    np.add.at(there, codes, one.mask())
    conflicts = np.flatnonzero((there > 1).any(axis=0) & busy)
    if len(conflicts):
        clashing = _first_clash(one, codes, int(conflicts[0]))
        raise ExecutionError(_duplicate(matching, [one.labels[i] for i in clashing]))


def _first_clash(one: Series, codes: _Codes, step: int) -> tuple[int, int]:
    """The first two rows, going by labels, that share a signature at this step."""
    present = one.mask()[:, step]
    seen: dict[int, int] = {}
    for row in sorted(np.flatnonzero(present).tolist(), key=one.labels.__getitem__):
        earlier = seen.setdefault(int(codes[row]), row)
        if earlier != row:
            return earlier, row
    raise AssertionError("no two rows share a signature")


def _duplicate(matching: Matching, clashing: list[Labels]) -> str:
    select = keeper(matching.labels) if matching.on else dropper((*matching.labels, METRIC_NAME))
    side = "left" if matching.card is Card.ONE_TO_MANY else "right"
    shown = ", ".join(sorted(format_labelset(labels) for labels in clashing))
    return (
        f"found duplicate series for the match group {format_labelset(select(clashing[1]))} on the {side} "
        f"hand-side of the operation: [{shown}];many-to-many matching not allowed: "
        "matching labels must be unique on one side"
    )


def _check_matches(labels: list[Labels], pairs: _Pairs, matched: Mask | None, card: Card, steps: int) -> None:
    """No two matches of a signature may give the same result at the same step."""
    if card is Card.ONE_TO_ONE:
        keys = pairs.codes
        message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    else:
        codes, _ = groups_of(labels)
        _, keys = np.unique(np.stack((pairs.codes, np.array(codes, dtype=np.intp))), axis=1, return_inverse=True)
        keys = keys.reshape(-1)
        message = "multiple matches for labels: grouping labels must ensure unique matches"
    counts = np.bincount(keys) if len(keys) else np.zeros(0, dtype=np.intp)
    for key in np.flatnonzero(counts > 1).tolist():
        rows = np.flatnonzero(keys == key)
        if steps and (matched is None or (matched[rows].sum(axis=0) > 1).any()):
            raise ExecutionError(message)
