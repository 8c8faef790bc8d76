"""One series watched as it comes: how odd is this sample, by what was seen before it?

Looked at are a fall below the level just before, values outside what is usual, a shift of the level, and a series that
has stopped moving. Each is a distance whose tail it learns itself, which makes them comparable: the surprise of a
sample is that of the oddest, as -log10 of a probability. A sample is reported only if it is odder than what was
reported lately, so that one event is one report, at its peak; the report fades within a few samples.
"""

from __future__ import annotations

import math

from exporter.analysis.season import Season
from exporter.analysis.tail import Tail

ALARM = 3.15  # the surprise where the score is a half: one sample in 1,400
_STEEPNESS = 2.0
_LEVEL, _SHORT, _LONG, _CENTRE = 0.2, 0.04, 0.003, 0.0005  # rates at which means follow the series
_FADES = 0.5  # what is left of a score at the next sample
_FORGETS = 0.997  # what is left of a peak, which later surprises have to exceed, at the next sample
_YOUNG = 30.0  # samples: what is learnt from few is worth less
_SHORTEST_RUN, _RUNS = 3, 5  # a run of equal values is a standstill if it is so many times as long as any before
_LEAST_MOVES = 20
_STANDSTILL = 4.0  # its surprise
_GAP = 20.0  # in usual intervals: after a pause the level just before says nothing
_LARGEST = 1e100  # beyond it squares are no longer numbers


class Detector:
    """Call `update` for each sample as it comes. Constant memory, a few microseconds."""

    __slots__ = (
        "_centre",
        "_count",
        "_faded",
        "_falls",
        "_highs",
        "_interval_s",
        "_last",
        "_last_t_s",
        "_level",
        "_long",
        "_longest",
        "_lows",
        "_moves",
        "_peak",
        "_rises",
        "_run",
        "_season",
        "_short",
        "_sinks",
        "_where",
    )  # fmt: skip

    def __init__(self) -> None:
        self._count = 0
        self._level = self._short = self._long = self._centre = 0.0
        self._falls, self._highs, self._lows = Tail(), Tail(), Tail()
        self._rises, self._sinks = Tail(), Tail()
        self._season = Season()
        self._run = self._longest = self._moves = 0
        self._last = self._last_t_s = self._interval_s = 0.0
        self._peak = self._faded = 0.0
        self._where = (0.0, 0.0)

    @property
    def expected(self) -> tuple[float, float]:
        """The range in which the last sample was expected: outside it, it would have been an alarm."""
        level, centre = self._where
        low = max(level - self._falls.reach(ALARM), centre - self._lows.reach(ALARM))
        return low, max(centre + self._highs.reach(ALARM), low)

    def update(self, timestamp_s: float, value: float) -> float:
        """The score of this sample, from 0 (ordinary) to 1; 0 for what is not a number.

        Times may be irregular, stand still or go back; the very same sample again is passed over.
        """
        if not math.isfinite(value):
            return 0.0
        if self._count and timestamp_s == self._last_t_s and value == self._last:
            return self._faded
        value = min(max(value, -_LARGEST), _LARGEST)
        if not math.isfinite(timestamp_s):
            timestamp_s = self._last_t_s
        self._follow_time(timestamp_s, value)
        usual = self._season.expects(timestamp_s, value)
        self._season.learn(timestamp_s, value, abs(value - self._level), self._interval_s)
        surprise = self._judge(value)
        if usual:
            surprise = 0.0
        self._faded *= _FADES
        self._peak *= _FORGETS
        if surprise > self._peak:
            self._peak = surprise
            self._faded = max(self._faded, _score(surprise))
        return self._faded

    def _follow_time(self, timestamp_s: float, value: float) -> None:
        """Start levels at the first sample, and the level just before after a pause."""
        if self._count == 0:
            self._level = self._short = self._long = self._centre = self._last = value
            self._last_t_s = timestamp_s
        step_s = timestamp_s - self._last_t_s
        if step_s > 0:
            if self._count > _LEAST_MOVES and step_s > _GAP * self._interval_s:
                self._level = self._short = value
            else:
                self._interval_s += max(0.05, 1 / self._count) * (step_s - self._interval_s)
        self._last_t_s = timestamp_s

    def _judge(self, value: float) -> float:
        """The surprise of a value, which is then learnt."""
        self._count += 1
        self._where = (self._level, self._centre)
        fall = self._level - value
        high = value - self._centre
        self._short += _SHORT * (value - self._short)
        shift = self._short - self._long
        surprise = max(
            self._falls.take(fall),
            self._highs.take(high),
            self._lows.take(-high),
            self._rises.take(shift),
            self._sinks.take(-shift),
        )
        newest = 1 / self._count
        self._level += _LEVEL * (value - self._level)
        self._long += max(_LONG, newest) * (value - self._long)
        self._centre += max(_CENTRE, newest) * (value - self._centre)
        return max(surprise, self._stuck(value)) * self._count / (self._count + _YOUNG)

    def _stuck(self, value: float) -> float:
        """The surprise of a series that moved at most samples and now repeats one value."""
        if value != self._last:
            self._longest, self._run = max(self._longest, self._run), 0
            self._moves += 1
            self._last = value
            return 0.0
        self._run += 1
        if self._moves < max(_LEAST_MOVES, (self._count - self._run) // 2):
            return 0.0
        return _STANDSTILL if self._run > _RUNS * max(self._longest, _SHORTEST_RUN) else 0.0


def _score(surprise: float) -> float:
    return 1 / (1 + math.exp(_STEEPNESS * (ALARM - surprise)))
