"""Times of the week, month and year, as Alertmanager's `time_intervals` understand them.

Within an interval every field that is given must hold, of a field's ranges any. All ranges hold both their ends but
`times`, which end before `end_time`. A clock that is put forward or back is the location's own: 02:30 may not exist
on a day and exist twice on another.
Source: prometheus/alertmanager, timeinterval/timeinterval.go.
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Range: TypeAlias = tuple[int, int]
"""First and last, both in it."""

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = tuple(name.lower() for name in calendar.month_name)


@dataclass(frozen=True, slots=True)
class Interval:
    """When it holds. `minutes` of the day as [first, last); weekdays from sunday = 0; negative days from the end."""

    zone: datetime.tzinfo
    minutes: Sequence[Range] = ()
    weekdays: Sequence[Range] = ()
    days_of_month: Sequence[Range] = ()
    months: Sequence[Range] = ()
    years: Sequence[Range] = ()

    def holds(self, t: float) -> bool:
        """Whether a time in Unix seconds lies in it."""
        there = datetime.datetime.fromtimestamp(t, self.zone)
        minute = there.hour * 60 + there.minute
        return (
            (not self.minutes or any(first <= minute < last for first, last in self.minutes))
            and _within(self.weekdays, there.isoweekday() % 7)
            and _within(self._days(there), there.day)
            and (not self.days_of_month or bool(self._days(there)))
            and _within(self.months, there.month)
            and _within(self.years, there.year)
        )

    def _days(self, there: datetime.datetime) -> list[Range]:
        """The ranges of days as this month has them; one that begins after its end is none."""
        length = calendar.monthrange(there.year, there.month)[1]
        ranges = [
            tuple(day if day > 0 else length + day + 1 for day in (first, last)) for first, last in self.days_of_month
        ]
        return [(first, last) for first, last in ranges if first <= length]


def _within(ranges: Sequence[Range], value: int) -> bool:
    return not ranges or any(first <= value <= last for first, last in ranges)


# -- reading ------------------------------------------------------------------------------------

Written: TypeAlias = str | int
"""A range as it stands in YAML, which takes `1:5` for a number to the base of sixty."""


def interval(
    *,
    times: Sequence[Mapping[str, Written]] = (),
    weekdays: Sequence[str] = (),
    days_of_month: Sequence[Written] = (),
    months: Sequence[Written] = (),
    years: Sequence[Written] = (),
    location: str = "UTC",
) -> Interval:
    """What is written. Raises ValueError saying what is wrong."""
    return Interval(
        _zone(location),
        [_minutes(each) for each in times],
        [_range(each, _named(_WEEKDAYS, "weekday", first=0), "weekday") for each in weekdays],
        [_days(each) for each in days_of_month],
        [_range(each, _month, "month") for each in months],
        [_range(each, _number("year", 1, 9_999), "year") for each in years],
    )


def _zone(location: str) -> datetime.tzinfo:
    if location in ("", "UTC"):
        return datetime.UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(location)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"location {location!r}: not a known time zone") from None


def _minutes(written: Mapping[str, Written]) -> Range:
    if set(written) != {"start_time", "end_time"}:
        raise ValueError("times: both start_time and end_time must be given, and nothing else")
    first, last = (_minute(written[name]) for name in ("start_time", "end_time"))
    if first >= last:
        raise ValueError(f"times: start_time {written['start_time']} is not before end_time {written['end_time']}")
    return first, last


def _minute(written: Written) -> int:
    if isinstance(written, int) and 0 <= written <= 24 * 60:
        return written  # YAML read 22:00 as 22 · 60
    if not _CLOCK.fullmatch(str(written)):
        raise ValueError(f"times: {written!r}: not HH:MM")
    hours, minutes = str(written).split(":")
    return int(hours) * 60 + int(minutes)


def _range(written: Written, read: Callable[[str], int], what: str) -> Range:
    sixties = isinstance(written, int) and written > 60 and what != "year"
    text = ":".join(map(str, divmod(int(written), 60))) if sixties else str(written)
    parts = text.strip().lower().split(":")
    if len(parts) > 2:
        raise ValueError(f"{what} {text!r}: not a range")
    first, last = (read(part.strip()) for part in (parts[0], parts[-1]))
    if first > last and not (first > 0 > last):
        raise ValueError(f"{what} {text!r}: ends before it starts")
    return first, last


def _days(written: Written) -> Range:
    first, last = _range(written, _number("day of the month", -31, 31), "day of the month")
    if first < 0 < last:
        raise ValueError(f"day of the month {str(written)!r}: the end must be negative if the start is")
    if first > 0 > last and first > 31 + last + 1:
        raise ValueError(f"day of the month {str(written)!r}: ends before it starts")
    return first, last


def _number(what: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,4}", text) or not least <= int(text) <= most or (least < 0 and int(text) == 0):
            raise ValueError(f"{what} {text!r}: not from {least} to {most}")
        return int(text)

    return read


def _named(names: Sequence[str], what: str, first: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text not in names[first:]:
            raise ValueError(f"{what} {text!r}: not one of {', '.join(names[first:])}")
        return names.index(text)

    return read


def _month(text: str) -> int:
    return int(text) if text.isdigit() and 1 <= int(text) <= 12 else _named(_MONTHS, "month", first=1)(text)
