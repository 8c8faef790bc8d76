"""Samples at instants: for each series and step the last sample within the look-back, unless it says "ended".

Left-open, as in Prometheus 3: a sample exactly one look-back old is no longer seen.
Source: prometheus/promql/engine.go, vectorSelectorSingle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.model import STALE_NAN_BITS, SeriesSet
from exporter.promql.arrays import Mask, Samples, Times
from exporter.promql.series import Series, concatenated, simplified


def is_stale(values: Samples) -> Mask:
    """Where the value is the stale marker, bit for bit."""
    bits: Mask = np.ascontiguousarray(values).view(np.int64) == STALE_NAN_BITS
    return bits


def instant_vectors(sets: Sequence[SeriesSet], at_ms: Times, lookback_ms: int, *, timestamps: bool = False) -> Series:
    """The last samples at the instants `at_ms`, shape (k,), increasing.

    timestamps: give each sample's own time in seconds instead of its value.
    """
    parts = [_of_set(one, at_ms, lookback_ms, timestamps) for one in sets]
    return concatenated(parts, len(at_ms))


def _of_set(one: SeriesSet, at_ms: Times, lookback_ms: int, timestamps: bool) -> Series:
    if not len(one.t_ms) or not len(one.labels) or not len(at_ms):
        return Series([], np.empty((0, len(at_ms))), None, np.empty(0, dtype=bool))
    last = np.searchsorted(one.t_ms, at_ms, side="right") - 1
    if one.present is None or one.present.all():
        values, present, times = _without_holes(one, last, at_ms, lookback_ms)
    else:
        values, present, times = _with_holes(one, one.present, last, at_ms, lookback_ms)
    if np.isnan(values).any():
        stale = is_stale(values)
        if stale.any():
            present = ~stale if present is None else present & ~stale
    if timestamps:
        values = np.broadcast_to(times / 1000, values.shape)
    dropped = np.zeros(len(one.labels), dtype=bool)
    return Series(one.labels, values, None if present is None else simplified(present), dropped).pruned()


def _without_holes(one: SeriesSet, last: Times, at_ms: Times, lookback_ms: int) -> tuple[Samples, Mask | None, Times]:
    columns = np.maximum(last, 0)
    times = one.t_ms[columns]
    seen = (last >= 0) & (times > at_ms - _reach_ms(one, columns, lookback_ms))
    values = _columns(one.values, columns)
    if seen.all():
        return values, None, times
    return values, np.broadcast_to(seen, values.shape), times


def _reach_ms(one: SeriesSet, columns: Times, lookback_ms: int) -> Times | int:
    """How long the samples in these columns are seen: aggregates until the next one is due."""
    return lookback_ms if one.widths_ms is None else np.maximum(one.widths_ms[columns], lookback_ms)


def _columns(values: Samples, columns: Times) -> Samples:
    """`values[:, columns]`, without copying when the columns follow one another."""
    if len(columns) and columns[-1] - columns[0] == len(columns) - 1 and (np.diff(columns) == 1).all():
        return values[:, columns[0] : columns[-1] + 1]
    return np.take(values, columns, axis=1)


def _with_holes(
    one: SeriesSet, present: Mask, last: Times, at_ms: Times, lookback_ms: int
) -> tuple[Samples, Mask, Times]:
    numbers = np.arange(len(one.t_ms), dtype=np.int32)
    latest = np.maximum.accumulate(np.where(present, numbers, np.int32(-1)), axis=1)
    found = latest[:, np.maximum(last, 0)]
    columns = np.maximum(found, 0)
    times = one.t_ms[columns]
    seen = (last >= 0) & (found >= 0) & (times > at_ms - _reach_ms(one, columns, lookback_ms))
    return np.take_along_axis(one.values, columns, axis=1), seen, times
