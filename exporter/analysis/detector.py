"""One series watched as it comes: how odd is this sample, by what was seen before it?

Four things are looked at, each with a tail that it has learnt itself: the residual to the better of two predictions
(the level just before; the same time of day), a shift of the level, values outside everything seen, and a series
that has stopped moving. The score is the oddest of them, held for a while so that one event is one report.
"""

from __future__ import annotations

import math

from exporter.analysis.tail import Tail

_BINS = 96  # of a day: quarters of an hour
_DAY_S = 86_400.0
_UNSETTLED, _WARM_UP = 20, 60  # samples
_FAST, _SLOW, _WIDTH = 0.15, 0.004, 0.02
_HOLD = 0.93  # what is left of a score after one ordinary sample
_QUIET, _CERTAIN = 3.0, 6.5  # -log10 of the probability where the score begins and where it is 1
_DOUBT = 200.0  # what is learnt from few samples is worth less: decades, divided by their number


class Detector:
    """Call `update` for each sample in the order of time. Constant memory, a few microseconds."""

    __slots__ = (
        "_bins",
        "_count",
        "_deviation",
        "_expected",
        "_fast",
        "_first_t",
        "_held",
        "_high",
        "_last",
        "_level_error",
        "_longest",
        "_low",
        "_moves",
        "_residuals",
        "_run",
        "_season_error",
        "_seen",
        "_shifts",
        "_slow",
    )  # fmt: skip

    def __init__(self) -> None:
        self._count = 0
        self._fast = self._slow = self._deviation = 0.0
        self._low = self._high = self._last = 0.0
        self._run = self._longest = self._moves = 0
        self._bins = [0.0] * _BINS
        self._seen = [0] * _BINS
        self._level_error = self._season_error = 0.0
        self._residuals, self._shifts = Tail(), Tail()
        self._held = 0.0
        self._expected = 0.0
        self._first_t = 0.0

    @property
    def expected(self) -> tuple[float, float]:
        """The range in which the last sample was expected."""
        width = 3 * max(self._deviation, 1e-12)
        return self._expected - width, self._expected + width

    def update(self, timestamp_s: float, value: float) -> float:
        """The score of this sample, from 0 (ordinary) to 1; 0 for what is not a number."""
        if not math.isfinite(value):
            return 0.0
        if self._count == 0:
            self._begin(timestamp_s, value)
        place = int(timestamp_s % _DAY_S / _DAY_S * _BINS)
        self._expected = self._prediction(timestamp_s, place)
        scale = max(self._deviation, 1e-9 * abs(self._slow), 1e-12)
        residual = abs(value - self._expected) / scale
        self._fast += _FAST * (value - self._fast)
        shift = abs(self._fast - self._slow_or_season(timestamp_s, place)) / scale
        score = self._score(value, residual, shift)
        self._learn(value, place, residual, shift, scale)
        self._held = max(score, self._held * _HOLD)
        return self._held if self._held >= 0.01 else 0.0

    def _begin(self, timestamp_s: float, value: float) -> None:
        self._fast = self._slow = self._low = self._high = self._last = value
        self._first_t = timestamp_s

    def _prediction(self, timestamp_s: float, place: int) -> float:
        """The level just before, or the same time of day where that has been the better guess for two days."""
        seasonal = self._seen[place] >= 2 and timestamp_s - self._first_t > 2 * _DAY_S
        return self._bins[place] if seasonal and self._season_error < self._level_error else self._fast

    def _slow_or_season(self, timestamp_s: float, place: int) -> float:
        known = self._seen[place] >= 2 and timestamp_s - self._first_t > 2 * _DAY_S
        return self._bins[place] if known else self._slow

    def _score(self, value: float, residual: float, shift: float) -> float:
        if self._count < _WARM_UP:
            return 0.0
        probability = min(self._residuals.probability(residual), self._shifts.probability(shift))
        reach = self._high - self._low
        if reach > 0 and not self._low <= value <= self._high:
            beyond = max(self._low - value, value - self._high) / reach
            probability *= 10 ** (-2 * min(1.0, beyond))
        quiet = _QUIET + _DOUBT / self._count
        odd = (-math.log10(max(probability, 1e-12)) - quiet) / (_CERTAIN - _QUIET)
        return min(1.0, max(0.0, odd, self._stuck(value)))

    def _stuck(self, value: float) -> float:
        """A series that moved at almost every sample and now repeats one value."""
        run = self._run + 1 if value == self._last else 0
        usual = max(self._longest, 3)
        if self._moves < max(_UNSETTLED, 0.5 * (self._count - self._run)):
            return 0.0
        return 0.0 if run <= 5 * usual else min(1.0, 0.5 + 0.05 * (run - 5 * usual))

    def _learn(self, value: float, place: int, residual: float, shift: float, scale: float) -> None:
        self._count += 1
        if self._count > _UNSETTLED:  # before, residuals are measured by a scale that is not known yet
            self._residuals.learn(residual)
            self._shifts.learn(shift)
        rate = max(_WIDTH, 1 / self._count)
        error = abs(value - self._expected)
        limit = 4 * scale if self._count > _WARM_UP else error
        self._deviation += rate * (min(error, limit) - self._deviation)
        self._slow += max(_SLOW, 1 / self._count) * (value - self._slow)
        self._level_error += 0.01 * (abs(value - self._last) - self._level_error)
        if self._seen[place]:
            self._season_error += 0.01 * (abs(value - self._bins[place]) - self._season_error)
        self._seen[place] += 1
        self._bins[place] += max(0.02, 1 / self._seen[place]) * (value - self._bins[place])
        self._low, self._high = min(self._low, value), max(self._high, value)
        if value == self._last:
            self._run += 1
        else:
            self._longest, self._run = max(self._longest, self._run), 0
            self._moves += 1
        self._last = value
