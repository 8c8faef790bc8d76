"""Sums with Neumaier's compensation, as Prometheus adds: `1e100 + 1 - 1e100` is 1.

The functions here go through the addends one after the other, all series and steps at once. They
are the reference; faster sums are used only where they cannot differ.
Source: prometheus/util/kahansum, and promql/functions.go for the means.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exporter.promql.arrays import Mask, Samples, Times

# A plain sum of addends this much larger than itself has lost at most 1e-12 of its value.
_CANCELLATION = 1e3


def add(increment: Samples, total: Samples, lost: Samples) -> tuple[Samples, Samples]:
    """One more addend: the new total, and what rounding has lost so far."""
    result = total + increment
    larger = np.abs(total) >= np.abs(increment)
    gone = np.where(larger, (total - result) + increment, (increment - result) + total)
    return result, np.where(np.isinf(result), 0.0, lost + gone)


def is_exact_enough(plain: Samples, magnitudes: Samples) -> Mask:
    """Where a plain sum agrees with the compensated one. magnitudes: the same sum of absolute values."""
    return ~np.isfinite(plain) | (magnitudes <= _CANCELLATION * np.abs(plain))


def addends(values: Samples, starts: Times, ends: Times) -> Iterator[tuple[Times, Samples]]:
    """The windows' first samples, then their second ones, and so on: the steps that have one, and its values.

    Yields (j,) step numbers and (n, j) values.
    """
    lengths = ends - starts
    for shift in range(int(lengths.max(initial=0))):
        steps = np.flatnonzero(lengths > shift)
        yield steps, values[:, starts[steps] + shift]


def window_sums(values: Samples, starts: Times, ends: Times) -> Samples:
    """Compensated sums over windows; shape (n, k)."""
    shape = (len(values), len(starts))
    total, lost = np.zeros(shape), np.zeros(shape)
    for steps, addend in addends(values, starts, ends):
        total[:, steps], lost[:, steps] = add(addend, total[:, steps], lost[:, steps])
    return np.where(np.isinf(total), total, total + lost)


class Mean:
    """A running mean: sum and count, until the sum would overflow; incremental from there on."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._total = np.zeros(shape)
        self._lost = np.zeros(shape)
        self._count = np.zeros(shape)
        self._incremental = np.zeros(shape, dtype=bool)

    def add(self, at: tuple[Times | slice, ...], values: Samples) -> None:
        """One more value for each place of the index `at`."""
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


def window_means(values: Samples, starts: Times, ends: Times) -> Samples:
    """Compensated means over windows; shape (n, k)."""
    mean = Mean((len(values), len(starts)))
    for steps, addend in addends(values, starts, ends):
        mean.add((slice(None), steps), addend)
    return mean.result()


def window_variances(values: Samples, starts: Times, ends: Times) -> Samples:
    """Population variances over windows, Welford's way with compensation; shape (n, k)."""
    shape = (len(values), len(starts))
    mean, mean_lost, square, square_lost = (np.zeros(shape) for _ in range(4))
    for count, (steps, value) in enumerate(addends(values, starts, ends), start=1):
        at = (slice(None), steps)
        delta = value - (mean[at] + mean_lost[at])
        mean[at], mean_lost[at] = add(delta / count, mean[at], mean_lost[at])
        rest = value - (mean[at] + mean_lost[at])
        square[at], square_lost[at] = add(delta * rest, square[at], square_lost[at])
    return (square + square_lost) / (ends - starts)
