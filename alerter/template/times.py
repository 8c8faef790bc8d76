"""time.Time, time.Duration and their methods, in UTC. Source: Go time, format.go and time.go."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from alerter.template.values import Int64, Stringer, Value

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ANSI = "2006-01-02 15:04:05.999999999 -0700 MST"
_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|002|__2|_2(?!006)|01|02|03|04|05|06|15|PM|pm"
    r"|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5"
)


class Month(Stringer, int):
    """time.Month."""

    type_name: ClassVar[str] = "time.Month"

    def __str__(self) -> str:
        return _MONTHS[self - 1]


class Weekday(Stringer, int):
    """time.Weekday."""

    type_name: ClassVar[str] = "time.Weekday"

    def __str__(self) -> str:
        return _DAYS[self]


class Duration(Stringer, int):
    """time.Duration: nanoseconds."""

    type_name: ClassVar[str] = "time.Duration"

    def __str__(self) -> str:
        return _duration_text(int(self))

    def rounded(self, unit: Duration) -> Duration:
        """To the nearest multiple of `unit`, halves away from zero."""
        if unit <= 0:
            return self
        size = (2 * abs(self) + unit) // (2 * unit) * unit
        return Duration(size if self >= 0 else -size)

    def truncated(self, unit: Duration) -> Duration:
        """Towards zero to a multiple of `unit`."""
        return Duration(int(self) - _remainder(int(self), int(unit))) if unit > 0 else self


class PointedDuration(Duration):
    """*time.Duration, as `toDuration` returns it."""

    pointer: ClassVar[bool] = True


def _remainder(value: int, unit: int) -> int:
    return value % unit if value >= 0 else -(-value % unit)


def _duration_text(ns: int) -> str:
    """`1h2m3.5s`; under a second in the largest fitting of ms, µs, ns."""
    if ns == 0:
        return "0s"
    sign, size = ("-", -ns) if ns < 0 else ("", ns)
    if size < SECOND:
        for unit, name in ((MILLISECOND, "ms"), (MICROSECOND, "µs"), (NANOSECOND, "ns")):
            if size >= unit:
                return f"{sign}{_decimal(size, unit)}{name}"
    minutes, rest = divmod(size, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, SECOND)}s"


def _decimal(size: int, unit: int) -> str:
    whole, rest = divmod(size, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


@dataclass(frozen=True, slots=True, order=True)
class Time(Stringer):
    """time.Time in UTC: nanoseconds since 1970."""

    ns: int
    type_name: ClassVar[str] = "time.Time"

    @property
    def date(self) -> datetime.datetime:
        """To the second; the fraction is in `ns`."""
        return _EPOCH + datetime.timedelta(seconds=self.ns // SECOND)

    def __str__(self) -> str:
        return self.format(_ANSI)

    def format(self, layout: str) -> str:
        """As Go formats by a layout that shows how 2006-01-02 15:04:05 would look."""
        date, fraction = self.date, f"{self.ns % SECOND:09d}"

        def written(match: re.Match[str]) -> str:
            chunk = match[0]
            if chunk[0] in ".,":
                return _fraction(chunk, fraction) if _follows_seconds(layout, match.start()) else chunk
            return _CHUNKS[chunk](date)

        return _CHUNK.sub(written, layout)

    @property
    def inner(self) -> tuple[int, int]:
        """Go's own fields: nanoseconds within the second, and seconds since year 1."""
        return self.ns % SECOND, (self.ns + _YEAR_ONE_NS) // SECOND

    def literal(self) -> str:
        """As Go source text, which `%#v` prints."""
        date = self.date
        month = f"time.{_MONTHS[date.month - 1]}"
        clock = f"{date.hour}, {date.minute}, {date.second}, {self.ns % SECOND}"
        return f"time.Date({date.year}, {month}, {date.day}, {clock}, time.UTC)"

    def truncated(self, unit: Duration) -> Time:
        """Down to a multiple of `unit` since year 1."""
        return Time(self.ns - (self.ns + _YEAR_ONE_NS) % unit) if unit > 0 else self

    def rounded(self, unit: Duration) -> Time:
        """To the nearest multiple of `unit` since year 1, halves up."""
        if unit <= 0:
            return self
        rest = (self.ns + _YEAR_ONE_NS) % unit
        return Time(self.ns - rest if 2 * rest < unit else self.ns - rest + unit)

    def add_date(self, years: int, months: int, days: int) -> Time:
        """The calendar moved, overflowing days into the next month as Go does."""
        date = self.date
        year, month = divmod(date.year * 12 + date.month - 1 + years * 12 + months, 12)
        first = date.replace(year=year, month=month + 1, day=1)
        moved = first + datetime.timedelta(days=date.day - 1 + days)
        return Time((moved - _EPOCH) // datetime.timedelta(seconds=1) * SECOND + self.ns % SECOND)


class PointedTime(Time):
    """*time.Time, as `toTime` returns it."""

    pointer: ClassVar[bool] = True


_YEAR_ONE_NS = 62_135_596_800 * SECOND


def _follows_seconds(layout: str, at: int) -> bool:
    return layout[:at].endswith(("05", "5"))


def _fraction(chunk: str, digits: str) -> str:
    shown = digits[: len(chunk) - 1]
    if chunk[1] == "0":
        return chunk[0] + shown
    shown = shown.rstrip("0")
    return chunk[0] + shown if shown else ""


_CHUNKS: dict[str, Callable[[datetime.datetime], str]] = {
    "January": lambda d: _MONTHS[d.month - 1],
    "Jan": lambda d: _MONTHS[d.month - 1][:3],
    "Monday": lambda d: _DAYS[d.isoweekday() % 7],
    "Mon": lambda d: _DAYS[d.isoweekday() % 7][:3],
    "1": lambda d: str(d.month),
    "01": lambda d: f"{d.month:02d}",
    "2": lambda d: str(d.day),
    "_2": lambda d: f"{d.day:2d}",
    "02": lambda d: f"{d.day:02d}",
    "002": lambda d: f"{d.timetuple().tm_yday:03d}",
    "__2": lambda d: f"{d.timetuple().tm_yday:3d}",
    "15": lambda d: f"{d.hour:02d}",
    "3": lambda d: str((d.hour + 11) % 12 + 1),
    "03": lambda d: f"{(d.hour + 11) % 12 + 1:02d}",
    "4": lambda d: str(d.minute),
    "04": lambda d: f"{d.minute:02d}",
    "5": lambda d: str(d.second),
    "05": lambda d: f"{d.second:02d}",
    "2006": lambda d: f"{d.year:04d}",
    "06": lambda d: f"{d.year % 100:02d}",
    "PM": lambda d: "PM" if d.hour >= 12 else "AM",
    "pm": lambda d: "pm" if d.hour >= 12 else "am",
    "MST": lambda d: "UTC",
    **{zone: lambda d: "Z" for zone in ("Z0700", "Z07:00", "Z07", "Z070000", "Z07:00:00")},
    **{zone: lambda d, z=zone: "+" + z[1:].replace("7", "0") for zone in ("-0700", "-07:00", "-07")},  # type: ignore[misc]  # a lambda's default
    **{zone: lambda d, z=zone: "+" + z[1:].replace("7", "0") for zone in ("-070000", "-07:00:00")},  # type: ignore[misc]  # a lambda's default
}

_Method = tuple[tuple[str, ...], Callable[..., Value]]
_TIME_METHODS: dict[str, _Method] = {
    "String": ((), str),
    "Format": (("string",), lambda t, layout: t.format(layout)),
    "Year": ((), lambda t: t.date.year),
    "Month": ((), lambda t: Month(t.date.month)),
    "Day": ((), lambda t: t.date.day),
    "Hour": ((), lambda t: t.date.hour),
    "Minute": ((), lambda t: t.date.minute),
    "Second": ((), lambda t: t.date.second),
    "Nanosecond": ((), lambda t: t.ns % SECOND),
    "YearDay": ((), lambda t: t.date.timetuple().tm_yday),
    "Weekday": ((), lambda t: Weekday(t.date.isoweekday() % 7)),
    "Unix": ((), lambda t: Int64(t.ns // SECOND)),
    "UnixMilli": ((), lambda t: Int64(t.ns // MILLISECOND)),
    "UnixMicro": ((), lambda t: Int64(t.ns // MICROSECOND)),
    "UnixNano": ((), lambda t: Int64(t.ns)),
    "UTC": ((), lambda t: Time(t.ns)),
    "IsZero": ((), lambda t: t.ns == -_YEAR_ONE_NS),
    "Add": (("time.Duration",), lambda t, d: Time(t.ns + d)),
    "AddDate": (("int", "int", "int"), lambda t, y, m, d: Time(t.add_date(y, m, d).ns)),
    "Sub": (("time.Time",), lambda t, u: Duration(t.ns - u.ns)),
    "Before": (("time.Time",), lambda t, u: t.ns < u.ns),
    "After": (("time.Time",), lambda t, u: t.ns > u.ns),
    "Equal": (("time.Time",), lambda t, u: t.ns == u.ns),
    "Round": (("time.Duration",), lambda t, d: t.rounded(d)),
    "Truncate": (("time.Duration",), lambda t, d: t.truncated(d)),
}
_DURATION_METHODS: dict[str, _Method] = {
    "String": ((), str),
    "Hours": ((), lambda d: int(d) / (3600 * SECOND)),
    "Minutes": ((), lambda d: int(d) / (60 * SECOND)),
    "Seconds": ((), lambda d: int(d) / SECOND),
    "Milliseconds": ((), lambda d: Int64((int(d) - _remainder(int(d), MILLISECOND)) // MILLISECOND)),
    "Microseconds": ((), lambda d: Int64((int(d) - _remainder(int(d), MICROSECOND)) // MICROSECOND)),
    "Nanoseconds": ((), Int64),
    "Abs": ((), lambda d: Duration(abs(int(d)))),
    "Round": (("time.Duration",), lambda d, unit: d.rounded(unit)),
    "Truncate": (("time.Duration",), lambda d, unit: d.truncated(unit)),
}
Time.methods = _TIME_METHODS
Duration.methods = _DURATION_METHODS
Month.methods = Weekday.methods = {"String": ((), str)}
