"""The expected demand of each role at any time: hour of day, weekday, Monday, holidays, time zone, phase."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from exporter.simulation.noise import Floats, Indices
from exporter.simulation.roles import Role

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_EPOCH = dt.date(1970, 1, 1)  # a Thursday
_WEEK = (1.2, 1.0, 1.0, 1.0, 1.0, 0.6, 0.6)  # from Monday
_HOLIDAY = 0.6
_BLEND_H = 6.0  # the night in which one day's level becomes the next one's


class Pattern:
    """Expected demand, 1 being the middle of an ordinary working day."""

    def __init__(
        self,
        roles: Sequence[Role],
        curves: dict[str, tuple[float, ...]],
        timezone: str = "UTC",
        holidays: Collection[str] = (),
    ) -> None:
        """holidays: local dates as `2026-12-25`. Raises ValueError or zoneinfo.ZoneInfoNotFoundError."""
        self._curves = np.array([[*curves[role.pattern], curves[role.pattern][0]] for role in roles])
        self._phase_h = np.array([[role.phase_h] for role in roles])
        self._weekly = np.array([[role.weekly] for role in roles])
        self._zone = ZoneInfo(timezone)
        self._holidays = frozenset((dt.date.fromisoformat(day) - _EPOCH).days for day in holidays)
        self._offset_ms = functools.lru_cache(maxsize=4096)(self._read_offset_ms)
        self._day_level = functools.lru_cache(maxsize=4096)(self._read_day_level)

    def demand(self, t_ms: Indices) -> Floats:
        """Expected demand. t_ms: shape (m,), increasing. Returns shape (roles, m)."""
        local = t_ms + self._offsets(t_ms)
        day = local // DAY_MS
        hour = (local - day * DAY_MS) / HOUR_MS
        clock = np.mod(hour - self._phase_h, 24.0)
        whole = np.minimum(clock.astype(np.int64), 23)
        rows = np.arange(len(self._curves))[:, None]
        left, right = self._curves[rows, whole], self._curves[rows, whole + 1]
        curve: Floats = (left + (right - left) * (clock - whole)) * self._level(day, hour) ** self._weekly
        return curve

    def _level(self, day: Indices, hour: Floats) -> Floats:
        first = int(day[0])
        levels = np.array([self._day_level(number) for number in range(first - 1, int(day[-1]) + 1)])
        yesterday, today = levels[day - first], levels[day - first + 1]
        blended: Floats = yesterday + (today - yesterday) * np.minimum(hour / _BLEND_H, 1.0)
        return blended

    def _offsets(self, t_ms: Indices) -> Indices:
        quarter = t_ms // (HOUR_MS // 4)  # zones change on quarters of an hour
        first = int(quarter[0])
        if str(self._zone) == "UTC":
            return np.zeros_like(t_ms)
        table = {number: self._offset_ms(number) for number in sorted(set(quarter.tolist()))}
        values = np.array([table.get(number, 0) for number in range(first, int(quarter[-1]) + 1)], dtype=np.int64)
        return values[quarter - first]

    def _read_offset_ms(self, quarter: int) -> int:
        moment = dt.datetime.fromtimestamp(quarter * 900, tz=self._zone)
        offset = moment.utcoffset() or dt.timedelta()
        return int(offset.total_seconds() * 1000)

    def _read_day_level(self, day: int) -> float:
        return _HOLIDAY if day in self._holidays else _WEEK[(day + 3) % 7]
