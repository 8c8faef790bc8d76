"""How improbable a statistic is, learnt from the statistic itself.

Peaks over threshold: a threshold that one value in fifty exceeds follows the stream, and what lies above it is
described by a generalised Pareto tail. A Gaussian would call the ordinary tails of real series impossible.
Source: Siffer et al., Anomaly detection in streams with extreme value theory, 2017.
"""

from __future__ import annotations

EXCEEDED = 0.02
_SHAPE = 0.15  # of the tail: a little heavier than exponential, as loads have
_FIRST = 30  # values before the threshold is worth anything
_RATE = 0.01


class Tail:
    """Learns the upper tail of a stream of values >= 0, with constant memory."""

    __slots__ = ("_count", "_excess", "_scale", "_threshold")

    def __init__(self) -> None:
        self._count = 0
        self._threshold = 0.0
        self._excess = 0.0
        self._scale = 0.0

    def probability(self, value: float) -> float:
        """Of a value this large or larger, by what was learnt so far; 1 for what is not in the tail."""
        over = value - self._threshold
        if self._count < _FIRST or over <= 0 or self._excess <= 0:
            return 1.0
        scale = self._excess * (1 - _SHAPE)
        return float(EXCEEDED * (1 + _SHAPE * over / scale) ** (-1 / _SHAPE))

    def learn(self, value: float) -> None:
        """Take a value into account; one that is far out counts only as far as the tail reaches."""
        self._count += 1
        rate = max(_RATE, 1 / self._count)
        self._scale += rate * (min(value, 4 * self._scale or value) - self._scale)
        step = max(0.2 / self._count, _RATE) * (self._scale or value)
        over = value - self._threshold
        if over <= 0:
            self._threshold -= step * EXCEEDED * 5
            return
        self._threshold += step * (1 - EXCEEDED) * 5
        known = self._excess or over
        self._excess += max(0.05, 1 / (1 + self._count * EXCEEDED)) * (min(over, 5 * known) - known)
        self._excess = self._excess or over
