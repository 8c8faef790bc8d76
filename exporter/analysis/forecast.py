"""When a disk or the memory will be full, by the straight line through its last hours."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporter.model import SeriesIndex

if TYPE_CHECKING:
    from exporter.model import Samples

DISK_S, MEMORY_S = 7 * 86_400.0, 6 * 3600.0  # how far ahead is worth saying: memory goes up and down with the day
_EVERY_S, _KEPT, _LEAST = 120.0, 120, 8  # four hours; a quarter of an hour to say anything
_TOGETHER = 4096  # series in one go: of all, the steps of the line would take hundreds of MB
_FIT = 0.8  # how much of the movement the line has to explain


@dataclass(frozen=True, slots=True)
class Forecast:
    """One series on its way to 100 %. `per_hour` is its slope in points, `fit` the line's R² in [0, 1]."""

    server: str
    metric: str
    mount: str
    now: float
    per_hour: float
    seconds_to_full: float
    fit: float


class Filling:
    """Remembers a percentage per series for four hours. What is full later than `horizon_s` is not said.

    Of 70,000 series that is 32 MB in single precision, which tells percentages apart that differ by 0.00001.
    """

    def __init__(self, horizon_s: float) -> None:
        self._horizon_s = horizon_s
        self._index: SeriesIndex | None = None
        self._kept: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=_KEPT)

    def observe(self, t_s: float, index: SeriesIndex, values: Samples) -> None:
        """One tick. values: shape (len(index.rows),)."""
        if self._kept and t_s < self._kept[-1][0]:  # the clock was set back
            self._kept.clear()
        if index is not self._index:
            self._follow(index)
        if not self._kept or t_s - self._kept[-1][0] >= _EVERY_S:
            self._kept.append((t_s, values.astype(np.float32)))

    def _follow(self, index: SeriesIndex) -> None:
        """Series came or went: what is known of those that stayed is kept, NaN stands for the rest."""
        if self._index is not None and self._kept:
            places = {row: i for i, row in enumerate(self._index.rows)}
            at = np.array([places.get(row, -1) for row in index.rows], dtype=np.intp)
            self._kept = deque(
                ((t_s, np.where(at >= 0, values[at], np.float32(np.nan))) for t_s, values in self._kept), maxlen=_KEPT
            )
        self._index = index

    def forecasts(self) -> list[Forecast]:
        """Those that will be full within the horizon, the soonest first."""
        if self._index is None or len(self._kept) < _LEAST:
            return []
        firsts = range(0, len(self._index.rows), _TOGETHER)
        found = [forecast for first in firsts for forecast in self._forecasts(first, first + _TOGETHER)]
        return sorted(found, key=lambda forecast: forecast.seconds_to_full)

    def _forecasts(self, first: int, end: int) -> list[Forecast]:
        """Of the series from one up to another."""
        t_s = np.array([t for t, _ in self._kept])
        values = np.stack([row[first:end] for _, row in self._kept], axis=1).astype(np.float64)
        slope, level, fit = line(t_s - t_s[-1], values)
        known = (~np.isnan(values)).sum(axis=1) >= _LEAST
        with np.errstate(divide="ignore", invalid="ignore"):
            left_s = (100 - level) / slope
        soon = known & (slope > 0) & (left_s > 0) & (left_s < self._horizon_s)
        due = np.flatnonzero(soon & (fit >= _FIT) & ~np.isnan(values[:, -1]))
        return [self._forecast(first, i, slope, left_s, fit, values) for i in due.tolist()]

    def _forecast(self, first: int, i: int, slope: Samples, left_s: Samples, fit: Samples, values: Samples) -> Forecast:
        assert self._index is not None
        labels = dict(self._index.labels(first + i))
        return Forecast(
            labels.get("server", ""),
            self._index.metric,
            labels.get("mount", ""),
            round(float(values[i, -1]), 2),
            round(float(slope[i]) * 3600, 3),
            round(float(left_s[i])),
            round(float(fit[i]), 3),
        )


def line(t_s: Samples, values: Samples) -> tuple[Samples, Samples, Samples]:
    """Least squares for each row, by those of its values that are numbers. t_s: shape (m,). values: shape (n, m).

    Returns slope per second, value at t = 0 and R², each of shape (n,); R² is 0 for a row that does not move.
    """
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=1), 1)
    t_mean, mean = there @ t_s / count, np.where(there, values, 0.0).sum(axis=1) / count
    t_off = np.where(there, t_s - t_mean[:, None], 0.0)
    off = np.where(there, values - mean[:, None], 0.0)
    spread, total = (t_off**2).sum(axis=1), (off**2).sum(axis=1)
    slope = np.divide((t_off * off).sum(axis=1), spread, out=np.zeros_like(mean), where=spread > 0)
    fit = np.divide(slope**2 * spread, total, out=np.zeros_like(total), where=total > 1e-12)
    return slope, mean - slope * t_mean, fit
