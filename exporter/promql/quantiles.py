"""Quantiles of values: quantile_over_time and the aggregation.

NaN counts as smaller than everything. Source: prometheus/promql/quantile.go, quantile.
"""

from __future__ import annotations

import numpy as np

from exporter.promql.arrays import Samples, Times
from exporter.promql.windows import Block, Windows

_CHUNK = 1 << 21  # values sorted at a time


def quantile_over_time(block: Block, windows: Windows, quantile: Samples) -> Samples:
    """The quantile of each window. quantile: shape (k,)."""
    out = np.full((len(block.values), len(windows.starts)), np.nan)
    lengths = windows.lengths
    for length in np.unique(lengths[lengths > 0]).tolist():
        steps = np.flatnonzero(lengths == length)
        _same_length(block.values, windows.starts, steps, length, quantile, out)
    return out


def _same_length(values: Samples, starts: Times, steps: Times, length: int, quantile: Samples, out: Samples) -> None:
    rows = max(1, _CHUNK // (length * len(steps)))
    for row in range(0, len(values), rows):
        views = np.lib.stride_tricks.sliding_window_view(values[row : row + rows], length, axis=1)
        picked = views[:, starts[steps]]
        counts = np.full(picked.shape[:2], length)
        out[row : row + rows, steps] = quantile_of(picked, counts, quantile[steps])


def quantile_of(values: Samples, counts: Times, quantile: Samples) -> Samples:
    """The quantile along the last axis, of which the first `counts` values in order are meant.

    values: shape (…, m), places beyond the count hold +Inf. counts, quantile: broadcast to (…).
    """
    missing = np.isnan(values)
    not_numbers = missing.sum(axis=-1)
    ordered = np.sort(np.where(missing, -np.inf, values) if not_numbers.any() else values, axis=-1)
    with np.errstate(all="ignore"):
        rank = quantile * (counts - 1)
        floor = np.floor(np.where(np.isnan(rank), 0, rank))
        lower = np.clip(floor, 0, np.maximum(counts - 1, 0)).astype(np.intp)
        upper = np.minimum(lower + 1, np.maximum(counts - 1, 0)).astype(np.intp)
        weight = rank - floor
        low, high = _taken(ordered, lower, not_numbers), _taken(ordered, upper, not_numbers)
        out = low * (1 - weight) + high * weight
    out = np.where(quantile < 0, -np.inf, np.where(quantile > 1, np.inf, out))
    return np.where(np.isnan(quantile) | (counts <= 0), np.nan, out)


def _taken(ordered: Samples, at: Times, not_numbers: Times) -> Samples:
    at = np.broadcast_to(at, ordered.shape[:-1])
    taken = np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0]
    return np.where(at < not_numbers, np.nan, taken)
