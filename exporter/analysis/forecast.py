"""When a disk or the memory will be full, by the straight line through its last hours."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import SeriesIndex

if TYPE_CHECKING:
    from exporter.model import Samples

HORIZON_S = 7 * 86_400
_EVERY_S, _KEPT, _LEAST = 60.0, 240, 15  # four hours of minutes; a quarter of an hour to say anything
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
    """Remembers a percentage per series, one value a minute for four hours; starts again when the series change."""

    def __init__(self) -> None:
        self._index: SeriesIndex | None = None
        self._kept: deque[tuple[float, Samples]] = deque(maxlen=_KEPT)

    def observe(self, t_s: float, index: SeriesIndex, values: Samples) -> None:
        """One tick. values: shape (len(index.rows),)."""
        if index is not self._index:
            self._index = index
            self._kept.clear()
        if not self._kept or t_s - self._kept[-1][0] >= _EVERY_S:
            self._kept.append((t_s, values))

    def forecasts(self) -> list[Forecast]:
        """Those that will be full within a week, the soonest first."""
        if self._index is None or len(self._kept) < _LEAST:
            return []
        t_s = np.array([t for t, _ in self._kept])
        values = np.stack([row for _, row in self._kept], axis=1)
        slope, level, fit = line(t_s - t_s[-1], values)
        with np.errstate(divide="ignore", invalid="ignore"):
            left_s = (100 - level) / slope
        due = np.flatnonzero((slope > 0) & (left_s > 0) & (left_s < HORIZON_S) & (fit >= _FIT))
        found = [self._forecast(i, slope, left_s, fit, values) for i in due.tolist()]
        return sorted(found, key=lambda forecast: forecast.seconds_to_full)

    def _forecast(self, i: int, slope: Samples, left_s: Samples, fit: Samples, values: Samples) -> Forecast:
        assert self._index is not None
        labels = dict(self._index.labels(i))
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
    """Least squares for each row. t_s: shape (m,). values: shape (n, m).

    Returns slope per second, value at t = 0 and R², each of shape (n,); R² is 0 for a row that does not move.
    """
    centred = t_s - t_s.mean()
    mean = values.mean(axis=1)
    off = values - mean[:, None]
    slope = off @ centred / (centred @ centred)
    total = (off**2).sum(axis=1)
    explained = slope**2 * (centred @ centred)
    fit = np.divide(explained, total, out=np.zeros_like(total), where=total > 1e-12)
    return slope, mean - slope * t_s.mean(), fit
