"""histogram_quantile and histogram_fraction over classic histograms: series with an `le` label.

Source: prometheus/promql/quantile.go, BucketQuantile, BucketFraction, ensureMonotonicAndIgnoreSmallDeltas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from exporter.model import Labels
from exporter.promql.annotations import Annotations, Fix
from exporter.promql.arrays import Indices, Mask, Samples, Times
from exporter.promql.ast import Span
from exporter.promql.labelsets import dropper, groups_of, metric_name, value_of
from exporter.promql.series import Series, concatenated

_without_le = dropper(("le",))

# Smaller relative differences between buckets come from floating point, not from observations.
_NOISE = 1e-12
_SMALLEST_NORMAL = 2.2250738585072014e-308


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """h histograms with the same b bounds, all counted at the same k steps.

    bounds: shape (b,), increasing. counts: shape (h, b, k), cumulative. labels: h, without `le`.
    steps: shape (k,), the columns of the grid.
    """

    labels: list[Labels]
    bounds: Samples
    counts: Samples
    steps: Indices


Kernel = Callable[[Buckets], Samples]
"""From buckets to values of shape (h, k)."""


def over_histograms(series: Series, kernel: Kernel, notes: Annotations, span: Span) -> Series:
    """One series for each histogram that the bucket series make up."""
    steps = series.values.shape[1]
    parts = []
    for buckets in _gathered(series, notes, span):
        values = np.zeros((len(buckets.labels), steps))
        present = np.zeros((len(buckets.labels), steps), dtype=bool)
        values[:, buckets.steps] = kernel(buckets)
        present[:, buckets.steps] = True
        whole = None if len(buckets.steps) == steps else present
        parts.append(Series(buckets.labels, values, whole, np.ones(len(buckets.labels), dtype=bool)))
    return _joined(concatenated(parts, steps))


def _joined(series: Series) -> Series:
    """A histogram whose buckets came and went is in several parts, at different steps: one series again."""
    codes, firsts = groups_of(series.labels)
    if len(firsts) == len(codes):
        return series
    values, present = series.values.copy(), series.mask().copy()
    for i, code in enumerate(codes):
        into = firsts[code]
        if into != i:
            values[into] = np.where(present[i], values[i], values[into])
            present[into] |= present[i]
    return Series([series.labels[i] for i in firsts], values[firsts], present[firsts], series.drop_name[firsts])


def _gathered(series: Series, notes: Annotations, span: Span) -> Iterator[Buckets]:
    rows, bounds = _bucket_rows(series, notes, span)
    keys = [_without_le(series.labels[row]) for row in rows]
    codes, firsts = groups_of(keys)
    members: list[list[int]] = [[] for _ in firsts]
    for i, code in enumerate(codes):
        members[code].append(i)
    layouts: dict[tuple[float, ...], list[list[int]]] = {}
    for group in members:
        group.sort(key=bounds.__getitem__)
        layouts.setdefault(tuple(bounds[i] for i in group), []).append(group)
    for layout, groups in layouts.items():
        labels = [keys[group[0]] for group in groups]
        picked = np.array([[rows[i] for i in group] for group in groups], dtype=np.intp)
        yield from _by_presence(series, labels, np.array(layout), picked)


def _bucket_rows(series: Series, notes: Annotations, span: Span) -> tuple[list[int], list[float]]:
    rows, bounds = [], []
    for row, labels in enumerate(series.labels):
        text = value_of(labels, "le")
        bound = parse_bound(text)
        if bound is None:
            if series.present is None or series.present[row].any():
                notes.bad_bucket_label(metric_name(labels), text, span)
            continue
        rows.append(row)
        bounds.append(bound)
    return rows, bounds


def parse_bound(text: str) -> float | None:
    """The number that an `le` label writes; None when it is none."""
    if not text or text != text.strip() or "_" in text:  # Python reads more than Go
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _by_presence(series: Series, labels: list[Labels], bounds: Samples, rows: Indices) -> Iterator[Buckets]:
    """rows: shape (h, b). Split into parts in which every bucket is there at every step."""
    counts = series.values[rows]
    every = np.arange(counts.shape[2])
    if series.present is None:
        yield _coalesced(labels, bounds, counts, every)
        return
    present = series.present[rows]
    whole = present.all(axis=(1, 2))
    if whole.any():
        yield _coalesced([labels[i] for i in np.flatnonzero(whole)], bounds, counts[whole], every)
    for i in np.flatnonzero(~whole).tolist():
        patterns, inverse = np.unique(present[i], axis=1, return_inverse=True)
        for j in range(patterns.shape[1]):
            kept = patterns[:, j]
            steps = np.flatnonzero(inverse.reshape(-1) == j)
            if kept.any() and len(steps):
                yield _coalesced([labels[i]], bounds[kept], counts[i][np.ix_(kept, steps)][None], steps)


def _coalesced(labels: list[Labels], bounds: Samples, counts: Samples, steps: Indices) -> Buckets:
    """Buckets with the same bound (`1` and `1.0`) are added up."""
    if len(bounds) > 1 and (np.diff(bounds) == 0).any():
        bounds, starts = np.unique(bounds, return_index=True)
        counts = np.add.reduceat(counts, starts, axis=1)
    return Buckets(labels, bounds, counts, steps)


def fraction(buckets: Buckets, lower: Samples, upper: Samples) -> Samples:
    """The share of observations between `lower` and `upper`, each of shape (k,). Returns (h, k)."""
    total = buckets.counts[:, -1, :]
    if not np.isposinf(buckets.bounds[-1]):
        return np.full(total.shape, np.nan)
    share = (_rank(buckets, upper) - _rank(buckets, lower)) / total
    share = np.where(lower >= upper, 0.0, share)
    return np.where((total == 0) | np.isnan(lower) | np.isnan(upper), np.nan, share)


def _rank(buckets: Buckets, value: Samples) -> Samples:
    """How many observations lie below `value` (k,), evenly spread within a bucket. Shape (h, k)."""
    total = buckets.counts[:, -1, :]
    rank = total.copy()
    found = np.zeros(rank.shape, dtype=bool)
    below = np.zeros(rank.shape)
    lower_bound = -np.inf if buckets.bounds[0] <= 0 else 0.0
    for i, upper_bound in enumerate(buckets.bounds.tolist()):
        count = buckets.counts[:, i, :]
        at_edge = ~found & (lower_bound >= value)
        rank = np.where(at_edge, below, rank)
        found = found | at_edge
        inside = ~found & (lower_bound < value) & (upper_bound > value)
        spread = count if lower_bound == -np.inf else _between(below, count, value, lower_bound, upper_bound)
        rank = np.where(inside, spread, rank)
        found = found | inside
        below, lower_bound = count, upper_bound
    return np.where(rank > total, total, rank)


def _between(below: Samples, count: Samples, value: Samples, lower_bound: float, upper_bound: float) -> Samples:
    return below + (count - below) * (value - lower_bound) / (upper_bound - lower_bound)


def quantile(buckets: Buckets, q: Samples, times_ms: Times, notes: Annotations, span: Span) -> Samples:
    """The quantile q (k,) of each histogram, evenly spread within a bucket. Returns (h, k)."""
    shape = (len(buckets.labels), len(q))
    if not np.isposinf(buckets.bounds[-1]):
        out = np.full(shape, np.nan)
    else:
        out = _interpolated(buckets, q, times_ms, notes, span)
    out = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, out))
    return np.where(np.isnan(q), np.nan, out)


def _interpolated(buckets: Buckets, q: Samples, times_ms: Times, notes: Annotations, span: Span) -> Samples:
    wanted = (q >= 0) & (q <= 1)
    counts = _monotonic(buckets, wanted, times_ms, notes, span)
    bounds = buckets.bounds
    last = len(bounds) - 1
    if last < 1:
        return np.full((len(buckets.labels), len(q)), np.nan)
    observations = counts[:, last, :]
    rank = q * observations
    bucket = (counts[:, :last, :] < rank[:, None, :]).sum(axis=1)
    before = np.maximum(bucket - 1, 0)
    below = np.where(bucket > 0, np.take_along_axis(counts, before[:, None, :], axis=1)[:, 0, :], 0.0)
    inside = np.take_along_axis(counts, bucket[:, None, :], axis=1)[:, 0, :] - below
    start = np.where(bucket > 0, bounds[before], 0.0)
    out = start + (bounds[bucket] - start) * ((rank - below) / inside)
    out = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], out)
    out = np.where(bucket == last, bounds[last - 1], out)
    return np.where(observations == 0, np.nan, out)


def _monotonic(buckets: Buckets, wanted: Mask, times_ms: Times, notes: Annotations, span: Span) -> Samples:
    """Counts that never fall with the bound; falls beyond noise are told about."""
    before, after = buckets.counts[:, :-1, :], buckets.counts[:, 1:, :]
    magnitude = np.abs(before) + np.abs(after)
    if not ((after < before) | ((after != before) & (np.abs(after - before) < _NOISE * magnitude))).any():
        return buckets.counts
    counts = buckets.counts.copy()
    shape = (counts.shape[0], counts.shape[2])
    low, high, worst = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape)
    previous = counts[:, 0, :]
    for i in range(1, counts.shape[1]):
        current = counts[:, i, :]
        noise = _almost_equal(previous, current)
        falls = ~noise & (current < previous)
        low = np.where(falls, np.minimum(low, buckets.bounds[i]), low)
        high = np.where(falls, np.maximum(high, buckets.bounds[i]), high)
        worst = np.where(falls, np.maximum(worst, previous - current), worst)
        counts[:, i, :] = np.where(noise | falls, previous, current)
        previous = counts[:, i, :]
    _tell(buckets, (low <= high) & wanted, (low, high, worst), times_ms, notes, span)
    return counts


def _almost_equal(a: Samples, b: Samples) -> Mask:
    """Source: prometheus/util/almost, Equal."""
    total = np.abs(a) + np.abs(b)
    difference = np.abs(a - b)
    tiny = (a == 0) | (b == 0) | (total < _SMALLEST_NORMAL)
    close = np.where(tiny, difference < _NOISE * _SMALLEST_NORMAL, difference / total < _NOISE)
    equal: Mask = (a == b) | close | (np.isnan(a) & np.isnan(b))
    return equal


def _tell(
    buckets: Buckets,
    forced: Mask,
    found: tuple[Samples, Samples, Samples],
    times_ms: Times,
    notes: Annotations,
    span: Span,
) -> None:
    low, high, worst = found
    for i, labels in enumerate(buckets.labels):
        steps = np.flatnonzero(forced[i])
        if len(steps):
            at = times_ms[buckets.steps[steps]]
            fix = Fix(
                float(low[i][steps].min()),
                float(high[i][steps].max()),
                float(worst[i][steps].max()),
                len(steps),
                int(at.min()),
                int(at.max()),
            )
            notes.forced_monotonicity(metric_name(labels), span, fix)
