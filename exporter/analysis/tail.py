"""How improbable a statistic is, learnt from the statistic itself.

Peaks over threshold: a threshold that one value in fifty exceeds follows the stream, and the excesses above it are
described by a generalised Pareto tail, fitted by their first two moments. A Gaussian would call the ordinary tails of
real series impossible. Old values are forgotten at a fixed rate, so that what has become usual is usual.
Source: Siffer et al., Anomaly detection in streams with extreme value theory, 2017; Hosking and Wallis, Parameter and
quantile estimation for the generalized Pareto distribution, 1987 (the moments).
"""

from __future__ import annotations

import math

EXCEEDED = 0.02
_FIRST = 50  # values before the tail says anything
_KNOWN = 3  # excesses before they are worth fitting
_RATE, _EXCESS_RATE = 0.01, 0.03  # of forgetting
_SETTLED = 1 / _RATE  # values from which on the rate is that; before, all count alike
_STEP = 3.0  # of the threshold, in means of the statistic
_OUTLIER, _OUTLYING = 10.0, 8.0  # values and excesses count up to so many means: one event blinds not to the next
_SHAPE, _LEAST, _MOST = 0.25, 0.02, 0.45  # of the tail before it is known, and its bounds
_WORTH = 20.0  # excesses after which the fitted shape counts as much as the assumed one
_QUANTILE = -math.log10(EXCEEDED)


class Tail:
    """Learns the upper tail of a stream of values >= 0, with constant memory."""

    __slots__ = ("_count", "_excesses", "_mean", "_scale", "_square", "_threshold")

    def __init__(self) -> None:
        self._count = self._excesses = 0
        self._threshold = self._scale = 0.0
        self._mean = self._square = 0.0  # of the excesses

    def surprise(self, value: float) -> float:
        """-log10 of the probability of a value this large or larger; 0 for what is not in the tail."""
        over = value - self._threshold
        if over <= 0 or self._count < _FIRST:
            return 0.0
        if self._excesses < _KNOWN:  # hardly ever seen: the rule of succession
            return math.log10(self._count / (self._excesses + 1))
        shape = self._shape()
        return _QUANTILE + math.log10(1 + shape * over / (self._mean * (1 - shape))) / shape

    def reach(self, surprise: float) -> float:
        """The value that has this surprise, the inverse of `surprise`."""
        if self._excesses < _KNOWN:
            return self._threshold
        shape = self._shape()
        beyond: float = 10 ** (shape * max(surprise - _QUANTILE, 0.0)) - 1
        return self._threshold + beyond * self._mean * (1 - shape) / shape

    def _shape(self) -> float:
        squared = self._mean * self._mean
        spread = self._square - squared
        fitted = 0.5 * (1 - squared / spread) if spread > 1e-9 * squared else _LEAST
        weight = self._excesses / (self._excesses + _WORTH)
        return weight * min(max(fitted, _LEAST), _MOST) + (1 - weight) * _SHAPE

    def take(self, value: float) -> float:
        """The surprise of a value, which is then learnt. Below 0 it is taken for 0."""
        if value < 0.0:
            value = 0.0
        over = value - self._threshold
        surprise = self.surprise(value) if over > 0 else 0.0
        self._count = count = self._count + 1
        rate = _RATE if count > _SETTLED else 1 / count
        outlying = _OUTLIER * self._scale
        counted = outlying if value > outlying > 0 and count > 20 else value
        self._scale += rate * (counted - self._scale)
        step = (_RATE if count > _SETTLED / 2 else 0.5 / count) * _STEP * (self._scale or value)
        if over <= 0:
            self._threshold -= step * EXCEEDED
        else:
            self._threshold += step * (1 - EXCEEDED)
            self._fit(over)
        return surprise

    def _fit(self, excess: float) -> None:
        self._excesses += 1
        if self._excesses > 5:
            excess = min(excess, _OUTLYING * self._mean)
        rate = max(_EXCESS_RATE, 1 / self._excesses)
        self._mean += rate * (excess - self._mean)
        self._square += rate * (excess * excess - self._square)
