"""Sums with Neumaier's compensation, as Prometheus adds: `1e100 + 1 - 1e100` is 1.

The functions here go through the addends one after the other, many sums at once. They are the
reference; faster sums are used only where they cannot differ.
Source: prometheus/util/kahansum, and promql/functions.go for means, variances and lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum
from typing import TypeAlias

import numpy as np

from exporter.promql.arrays import Indices, Mask, Samples, Times

# A plain sum whose addends are this much larger than itself has lost some 1e-12 of its value.
_CANCELLATION = 1e4
_AT_A_TIME = 1 << 18  # values added in pairs

Place: TypeAlias = Indices | tuple[Indices, Indices]


def add(increment: Samples, total: Samples, lost: Samples) -> tuple[Samples, Samples]:
    """One more addend: the new total, and what rounding has lost so far."""
    result = total + increment
    larger = np.abs(total) >= np.abs(increment)
    gone = np.where(larger, (total - result) + increment, (increment - result) + total)
    return result, np.where(np.isinf(result), 0.0, lost + gone)


def is_exact_enough(plain: Samples, magnitudes: Samples) -> Mask:
    """Where a plain sum agrees with the compensated one. magnitudes: the same sum of absolute values."""
    return ~np.isfinite(plain) | (magnitudes <= _CANCELLATION * np.abs(plain))


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """e ranges of samples: for each its row, and the columns from `starts` up to `ends`. Each of shape (e,)."""

    values: Samples
    rows: Indices
    starts: Times
    ends: Times

    def __len__(self) -> int:
        return len(self.rows)

    def addends(self) -> Iterator[tuple[Indices, Times, Samples]]:
        """The first samples of the ranges, then the second ones, and so on.

        Yields the ranges (j,) that have one, its columns (j,) and its values (j,).
        """
        lengths = self.ends - self.starts
        for shift in range(int(lengths.max(initial=0))):
            having = np.flatnonzero(lengths > shift)
            columns = self.starts[having] + shift
            yield having, columns, self.values[self.rows[having], columns]


def sums(ranges: Ranges) -> Samples:
    """Compensated sums. Shape (e,)."""
    total, lost = np.zeros(len(ranges)), np.zeros(len(ranges))
    for having, _, value in ranges.addends():
        total[having], lost[having] = add(value, total[having], lost[having])
    return np.where(np.isinf(total), total, total + lost)


def group_sums(values: Samples, starts: Indices) -> Samples:
    """Sums of groups of rows, each correct to its last digit, so as compensated ones are. Shape (g, k).

    values: shape (n, k), a group's rows side by side; no sum of them overflows. starts: shape (g,).
    """
    if values.shape[1] == 1:
        column, ends = values[:, 0].tolist(), [*starts[1:].tolist(), len(values)]
        return np.array([[fsum(column[start:end])] for start, end in zip(starts.tolist(), ends, strict=True)])
    out = np.empty((len(starts), values.shape[1]))
    width = max(1, _AT_A_TIME // len(values))
    for i in range(0, values.shape[1], width):
        out[:, i : i + width] = _in_pairs(values[:, i : i + width], np.diff(starts, append=len(values)))
    return out


def _in_pairs(values: Samples, sizes: Indices) -> Samples:
    """Neighbours within each group are added until one row is left of each, with what rounding has lost aside."""
    lost = np.zeros(values.shape)
    while sizes.max(initial=1) > 1:
        halves = (sizes + 1) // 2
        first = np.repeat(np.cumsum(sizes) - sizes, halves)
        within = 2 * (np.arange(len(first)) - np.repeat(np.cumsum(halves) - halves, halves))
        left = first + within
        paired = np.flatnonzero(within + 1 < np.repeat(sizes, halves))
        a, b = values[left], values[left[paired] + 1]
        lost_b = lost[left[paired] + 1]
        lost = lost[left]
        total = a[paired] + b
        shift = total - a[paired]
        lost[paired] += lost_b + ((a[paired] - (total - shift)) + (b - shift))
        a[paired] = total
        values, sizes = a, halves
    return values + lost


def means(ranges: Ranges) -> Samples:
    """Compensated means. Shape (e,)."""
    mean = Mean((len(ranges),))
    for having, _, value in ranges.addends():
        mean.add(having, value)
    return mean.result()


def variances(ranges: Ranges) -> Samples:
    """Population variances, Welford's way with compensation. Shape (e,)."""
    mean, mean_lost, square, square_lost = (np.zeros(len(ranges)) for _ in range(4))
    for count, (at, _, value) in enumerate(ranges.addends(), start=1):
        delta = value - (mean[at] + mean_lost[at])
        mean[at], mean_lost[at] = add(delta / count, mean[at], mean_lost[at])
        rest = value - (mean[at] + mean_lost[at])
        square[at], square_lost[at] = add(delta * rest, square[at], square_lost[at])
    return (square + square_lost) / (ranges.ends - ranges.starts)


def lines(ranges: Ranges, t_ms: Times, origin_ms: Times) -> tuple[Samples, Samples]:
    """Slopes per second, and values at the origins (e,), of the least-squares lines. t_ms: of the columns."""
    totals = [(np.zeros(len(ranges)), np.zeros(len(ranges))) for _ in range(4)]
    for at, columns, y in ranges.addends():
        x = (t_ms[columns] - origin_ms[at]) / 1000
        for (total, lost), value in zip(totals, (x, y, x * y, x * x), strict=True):
            total[at], lost[at] = add(value, total[at], lost[at])
    x, y, xy, xx = (total + lost for total, lost in totals)
    n = ranges.ends - ranges.starts
    slope = (xy - x * y / n) / (xx - x * x / n)
    return slope, y / n - slope * x / n


class Mean:
    """Running means: sum and count, until a sum would overflow; incremental from there on."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._total = np.zeros(shape)
        self._lost = np.zeros(shape)
        self._count = np.zeros(shape)
        self._incremental = np.zeros(shape, dtype=bool)

    def add(self, at: Place, values: Samples) -> None:
        """One more value for each of the places `at`, which are all different."""
        count = self._count[at] + 1
        total, lost, incremental = self._total[at], self._lost[at], self._incremental[at]
        result, now_lost = add(values, total, lost)
        turning = ~incremental & np.isinf(result) & (count > 1)
        before = np.maximum(count - 1, 1)
        mean = np.where(turning, total / before, total)
        mean_lost = np.where(turning, lost / before, lost)
        incremental = incremental | turning
        share = (count - 1) / count
        stepped, stepped_lost = add(values / count, share * mean, share * mean_lost)
        self._total[at] = np.where(incremental, stepped, result)
        self._lost[at] = np.where(incremental, stepped_lost, now_lost)
        self._incremental[at] = incremental
        self._count[at] = count

    def result(self) -> Samples:
        """The means so far; NaN where nothing was added."""
        direct = self._total / self._count + self._lost / self._count
        return np.where(self._incremental, self._total + self._lost, direct)
