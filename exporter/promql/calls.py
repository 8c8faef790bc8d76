"""Functions of instant vectors, scalars and strings.

Source: prometheus/promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from exporter.model import METRIC_NAME, Labels, MatchType
from exporter.promql import histograms, ranking
from exporter.promql.annotations import Annotations
from exporter.promql.arithmetic import FUNCTIONS, clamp, round_to
from exporter.promql.arrays import Mask, Samples
from exporter.promql.ast import Call, Expr, MatrixSelector, Span, VectorSelector
from exporter.promql.dates import DATE_PARTS, date_part
from exporter.promql.labelsets import with_label
from exporter.promql.relabelling import label_join, label_replace
from exporter.promql.series import Grid, Series, empty, simplified

Result: TypeAlias = Series | Samples | str
"""Instant vectors; a scalar at each step, shape (k,); a string."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A call whose arguments are known. exprs: the arguments without parentheses around them."""

    expr: Call
    exprs: Sequence[Expr]
    values: Sequence[Result]
    grid: Grid
    notes: Annotations

    def series(self, i: int) -> Series:
        """Argument i, a vector."""
        value = self.values[i]
        if not isinstance(value, Series):
            raise TypeError(f"argument {i} of {self.expr.name} is no vector")
        return value

    def scalar(self, i: int) -> Samples:
        """Argument i, a scalar at each step."""
        value = self.values[i]
        if not isinstance(value, np.ndarray):
            raise TypeError(f"argument {i} of {self.expr.name} is no scalar")
        return value

    def text(self, i: int) -> str:
        """Argument i, a string."""
        return str(self.values[i])

    def span(self, i: int) -> Span:
        """Where argument i stands."""
        return self.exprs[i].span


def call(given: Given) -> Result:
    """What the function gives."""
    return _CALLS[given.expr.name](given)


def _simple(given: Given) -> Series:
    series = given.series(0)
    return series.mapped(FUNCTIONS[given.expr.name](series.values))


def _date(given: Given) -> Series:
    name = given.expr.name
    if not given.values:
        moments = np.floor_divide(given.grid.times_ms, 1000).astype(float)
        return _one(date_part(name, moments))
    series = given.series(0)
    return series.mapped(date_part(name, series.values))


def _one(values: Samples) -> Series:
    """A single series without labels. values: shape (k,)."""
    return Series([()], values[None, :], None, np.zeros(1, dtype=bool))


def _clamp(given: Given) -> Series:
    series = given.series(0)
    bounds = {"clamp": (1, 2), "clamp_min": (1, None), "clamp_max": (None, 1)}[given.expr.name]
    steps = len(given.grid)
    low = np.full(steps, -np.inf) if bounds[0] is None else given.scalar(bounds[0])
    high = np.full(steps, np.inf) if bounds[1] is None else given.scalar(bounds[1])
    clamped = series.mapped(clamp(series.values, low, high))
    possible = ~(high < low)
    return clamped if possible.all() else clamped.where(np.broadcast_to(possible, series.values.shape)).pruned()


def _round(given: Given) -> Series:
    series = given.series(0)
    nearest = given.scalar(1) if len(given.values) > 1 else np.ones(len(given.grid))
    return series.mapped(round_to(series.values, nearest))


def _scalar(given: Given) -> Samples:
    series = given.series(0)
    present = series.mask()
    value = np.where(present, series.values, 0.0).sum(axis=0, initial=0.0)
    return np.where(present.sum(axis=0) == 1, value, np.nan)


def _absent(given: Given) -> Series:
    return absence(given.exprs[0], np.asarray(given.series(0).mask().any(axis=0)))


def absence(expr: Expr, there: Mask) -> Series:
    """1 where nothing is there (k,), labelled by what the selector asks for."""
    missing = ~there
    if not missing.any():
        return empty(len(missing))
    labels = absent_labels(expr)
    return Series([labels], np.ones((1, len(missing))), simplified(missing[None, :]), np.zeros(1, dtype=bool))


def absent_labels(expr: Expr) -> Labels:
    """The labels that a selector asks for by equality, each named once. Source: createLabelsForAbsentFunction."""
    selector = expr.selector if isinstance(expr, MatrixSelector) else expr
    labels: Labels = ()
    if not isinstance(selector, VectorSelector):
        return labels
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.type is MatchType.EQUAL and matcher.name not in seen:
            labels = with_label(labels, matcher.name, matcher.value)
            seen.add(matcher.name)
        else:
            labels = with_label(labels, matcher.name, "")
    return labels


def _sort(given: Given) -> Series:
    if len(given.grid) > 1:
        given.notes.sort_in_range_query(given.expr.span)
    return ranking.sort(given.series(0), descending=given.expr.name == "sort_desc")


def _timestamp(given: Given) -> Series:
    """Of anything but a selector, the time of the step."""
    series = given.series(0)
    return series.mapped(np.broadcast_to(given.grid.times_ms / 1000, series.values.shape))


def _histogram_quantile(given: Given) -> Series:
    quantile, series, span = given.scalar(0), given.series(1), given.span(1)
    for value in np.unique(quantile[(quantile < 0) | (quantile > 1) | np.isnan(quantile)]).tolist():
        given.notes.invalid_quantile(value, given.span(0))

    def kernel(buckets: histograms.Buckets) -> Samples:
        return histograms.quantile(buckets, quantile[buckets.steps], given.grid.times_ms, given.notes, span)

    return histograms.over_histograms(series, kernel, given.notes, span)


def _histogram_fraction(given: Given) -> Series:
    lower, upper = given.scalar(0), given.scalar(1)

    def kernel(buckets: histograms.Buckets) -> Samples:
        return histograms.fraction(buckets, lower[buckets.steps], upper[buckets.steps])

    return histograms.over_histograms(given.series(2), kernel, given.notes, given.span(2))


def _of_native_histograms(given: Given) -> Series:
    """Floats are passed over, as there; of native histograms, which there are none here, it is told."""
    given.notes.no_native_histograms(given.expr.name, given.expr.span)
    return empty(len(given.grid))


def _label_replace(given: Given) -> Series:
    return label_replace(given.series(0), given.text(1), given.text(2), given.text(3), given.text(4))


def _label_join(given: Given) -> Series:
    sources = [given.text(i) for i in range(3, len(given.values))]
    return label_join(given.series(0), given.text(1), given.text(2), sources)


_CALLS: dict[str, Callable[[Given], Result]] = {
    **dict.fromkeys(FUNCTIONS, _simple),
    **dict.fromkeys(DATE_PARTS, _date),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(("sort", "sort_desc"), _sort),
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"),
        _of_native_histograms,
    ),
    "absent": _absent,
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda given: np.full(len(given.grid), np.pi),
    "round": _round,
    "scalar": _scalar,
    "time": lambda given: given.grid.times_ms / 1000,
    "timestamp": _timestamp,
    "vector": lambda given: _one(given.scalar(0)),
}
