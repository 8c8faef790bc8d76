"""The day of one series: what it usually is at a time of day, and whether that can be relied on."""

from __future__ import annotations

_DAY_S = 86_400.0
_BINS = 96  # quarters of an hour
_BIN_S = _DAY_S / _BINS
_NEW = 0.5  # what a new day counts for
_RATE = 0.01  # at which errors are forgotten
_NEAR = 3.0  # usual errors


class Season:
    """Learns a mean for each quarter of an hour. Constant memory."""

    __slots__ = ("_error", "_first_t_s", "_level_error", "_means")

    def __init__(self) -> None:
        self._means: list[float | None] = [None] * _BINS
        self._first_t_s: float | None = None
        self._error = self._level_error = 0.0

    def expects(self, t_s: float, value: float) -> bool:
        """Whether a value is what this time of day usually has.

        False in the first two days, and while the time of day tells less than the value just before.
        """
        mean = self._means[_place(t_s)]
        if mean is None or self._first_t_s is None or t_s - self._first_t_s < 2 * _DAY_S:
            return False
        return self._error < self._level_error and abs(value - mean) <= _NEAR * self._error

    def learn(self, t_s: float, value: float, level_error: float, interval_s: float) -> None:
        """Take a value into account; `level_error` is how far it was from the value just before."""
        if self._first_t_s is None:
            self._first_t_s = t_s
        place = _place(t_s)
        mean = self._means[place]
        if mean is None:
            self._means[place] = value
            return
        error = value - mean
        self._error += _RATE * (abs(error) - self._error)
        self._level_error += _RATE * (level_error - self._level_error)
        self._means[place] = mean + error * min(1.0, max(0.005, _NEW * interval_s / _BIN_S))


def _place(t_s: float) -> int:
    return int(t_s % _DAY_S / _BIN_S) % _BINS
