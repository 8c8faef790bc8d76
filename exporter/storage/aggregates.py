"""Aggregates of samples over fixed widths of time: what a tier keeps of many samples, and of finer aggregates.

The aggregate at t stands for the samples in (t - width, t]. Per series it has

    count   how many samples
    sum     of their values
    min     the smallest value, NaN only when all are
    max     the largest value, NaN only when all are
    last    the last value, or the stale marker where the series ended last
    lost    of counters: what resets took, from the sample before the width to the last within: the sum of the values
            that the counter fell from

With count 0 the series only ended; sum, min and max are then stale markers too. So `last` plus the running total of
`lost` grows as the counter did, whatever resets there were inside a width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import STALE_NAN_BITS, Family, MetricType
from exporter.storage.frame import STALE

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

COUNT, SUM, MIN, MAX, LAST, LOST = "count", "sum", "min", "max", "last", "lost"
ALL = (COUNT, SUM, MIN, MAX, LAST, LOST)
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


@dataclass(frozen=True, slots=True, eq=False)
class Aggregates:
    """n series over b widths. t_ms: (b,), the end of each width. columns, present: (n, b)."""

    t_ms: Times
    columns: Mapping[str, Samples]
    present: Mask


def is_counter(family: Family, metric: str) -> bool:
    """Whether values of this metric fall only when it is reset."""
    if family.type is MetricType.UNKNOWN:
        return metric.endswith(_COUNTER_SUFFIXES)
    return family.type in (MetricType.COUNTER, MetricType.HISTOGRAM, MetricType.SUMMARY)


def of_samples(t_ms: Times, values: Samples, present: Mask | None, width_ms: int, *, counter: bool) -> Aggregates:
    """Samples aggregated. t_ms: (m,), m >= 1. values, present: (n, m)."""
    stale = np.ascontiguousarray(values).view(np.uint64) == STALE_NAN_BITS
    there = np.ones(values.shape, np.bool_) if present is None else present
    real = there & ~stale
    ends, starts = _widths(t_ms, width_ms)
    count = np.add.reduceat(real, starts, axis=1, dtype=np.float64)
    columns = {
        COUNT: count,
        SUM: np.add.reduceat(np.where(real, values, 0.0), starts, axis=1),
        MIN: np.fmin.reduceat(np.where(real, values, np.nan), starts, axis=1),
        MAX: np.fmax.reduceat(np.where(real, values, np.nan), starts, axis=1),
        LAST: _last(values, there, starts),
    }
    if counter:
        columns[LOST] = np.add.reduceat(_fallen_from(values, real), starts, axis=1)
    return _ended(ends, columns, np.logical_or.reduceat(there, starts, axis=1))


def of_aggregates(finer: Aggregates, width_ms: int) -> Aggregates:
    """Finer aggregates, b >= 1 of them, aggregated. Their widths divide this one."""
    ends, starts = _widths(finer.t_ms, width_ms)
    found, there = finer.columns, finer.present
    real = there & (found[COUNT] > 0)
    columns = {
        COUNT: np.add.reduceat(np.where(real, found[COUNT], 0.0), starts, axis=1),
        SUM: np.add.reduceat(np.where(real, found[SUM], 0.0), starts, axis=1),
        MIN: np.fmin.reduceat(np.where(real, found[MIN], np.nan), starts, axis=1),
        MAX: np.fmax.reduceat(np.where(real, found[MAX], np.nan), starts, axis=1),
        LAST: _last(found[LAST], there, starts),
    }
    if LOST in found:
        columns[LOST] = np.add.reduceat(np.where(real, found[LOST], 0.0), starts, axis=1)
    return _ended(ends, columns, np.logical_or.reduceat(there, starts, axis=1))


def grown(last: Samples, lost: Samples, present: Mask | None) -> Samples:
    """`last` raised by what resets have taken since the first, so that no difference is less than the true growth.

    Series without any loss are left as they are. last, lost, present: (n, m); nothing is lost where samples are raw,
    so falls between those are undone here too.
    """
    there = np.ones(last.shape, np.bool_) if present is None else present
    affected = np.flatnonzero((np.where(there, lost, 0.0) > 0).any(axis=1))
    if not len(affected):
        return last
    result = last.copy()
    for row in affected.tolist():
        at = np.flatnonzero(there[row] & ~np.isnan(last[row]))
        values, taken = last[row, at], lost[row, at]
        fell = (values[1:] < values[:-1]) & (taken[1:] == 0)
        taken[1:][fell] = values[:-1][fell]
        taken[:1] = 0.0
        result[row, at] = values + np.cumsum(taken)
    return result


def _widths(t_ms: Times, width_ms: int) -> tuple[Times, Times]:
    """The ends of the widths that have instants, and where in `t_ms` each begins."""
    ends = -(-t_ms // width_ms) * width_ms
    starts = np.flatnonzero(np.diff(ends, prepend=ends[0] - 1))
    return ends[starts], starts


def _last(values: Samples, there: Mask, starts: Times) -> Samples:
    places = np.maximum.reduceat(np.where(there, np.arange(values.shape[1]), -1), starts, axis=1)
    return np.take_along_axis(values, np.maximum(places, 0), axis=1)


def _fallen_from(values: Samples, real: Mask) -> Samples:
    """At each sample that is less than the one before, that one's value; else 0."""
    places = np.maximum.accumulate(np.where(real, np.arange(values.shape[1]), -1), axis=1)
    before = np.full_like(places, -1)
    before[:, 1:] = places[:, :-1]
    reached = np.take_along_axis(values, np.maximum(before, 0), axis=1)
    fell = real & (before >= 0) & (values < reached)
    return np.where(fell, reached, 0.0)


def _ended(ends: Times, columns: dict[str, Samples], present: Mask) -> Aggregates:
    nothing = columns[COUNT] == 0
    if nothing.any():
        for name in (SUM, MIN, MAX):
            columns[name] = np.where(nothing, STALE, columns[name])
    return Aggregates(ends, columns, present)
