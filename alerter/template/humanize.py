"""Numbers as people read them, and as times. Source: prometheus/template/template.go."""

from __future__ import annotations

import math
from collections.abc import Iterable

from alerter.template.errors import FunctionError
from alerter.template.floats import shortest
from alerter.template.numbers import parse_float
from alerter.template.quoting import quote
from alerter.template.times import Duration, PointedDuration, PointedTime
from alerter.template.values import Int64, Value, type_name
from exporter.duration import parse_duration


def to_float(value: Value) -> float:
    """A number, or a text that is one. Raises FunctionError with Go's message."""
    kind = type(value)
    if kind is float or kind is int or kind is Int64:
        return float(value)
    if kind is str:
        return _parsed(value)
    if isinstance(value, Duration):
        return int(value) / 1e9
    raise FunctionError(f"can't convert {type_name(value)} to float")


def _parsed(text: str) -> float:
    number = parse_float(text)
    if number is None:
        raise FunctionError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    if math.isinf(number) and "inf" not in text.lower():
        raise FunctionError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return number


def _short(value: float, suffix: str = "") -> str:
    """`%.4g` and a suffix."""
    if math.isfinite(value):
        return f"{value:.4g}{suffix}"
    return f"{shortest(value)}{suffix}"


def _scaled(value: float, base: float, prefixes: Iterable[str]) -> tuple[float, str]:
    """The value divided by `base` until it is under it, and the last prefix taken."""
    taken = ""
    for prefix in prefixes:
        if abs(value) < base:
            break
        taken = prefix
        value /= base
    return value, taken


def _small(value: float) -> tuple[float, str]:
    """The value times 1000 until it is at least 1, and the last prefix taken."""
    taken = ""
    for prefix in "munpfazy":
        if abs(value) >= 1:
            break
        taken = prefix
        value *= 1000
    return value, taken


def humanize(given: Value) -> str:
    """With a metric prefix: 1.235M, 120u."""
    value = to_float(given)
    if value == 0 or not math.isfinite(value):
        return _short(value)
    return _short(*(_scaled(value, 1000, "kMGTPEZY") if abs(value) >= 1 else _small(value)))


def humanize1024(given: Value) -> str:
    """With a binary prefix: 1Mi."""
    value = to_float(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return _short(value)
    return _short(*_scaled(value, 1024, ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")))


def humanize_duration(given: Value) -> str:
    """Seconds as 1d 0h 1m 1s, or 12.3ms under a second."""
    value = to_float(given)
    if not math.isfinite(value):
        return _short(value)
    if value == 0:
        return _short(value, "s")
    if abs(value) < 1:
        value, prefix = _small(value)
        return _short(value, f"{prefix}s")
    return _long_duration("-" if value < 0 else "", abs(value))


def _long_duration(sign: str, value: float) -> str:
    whole, back = (int(value), 1) if value < 2.0**63 else (1 << 63, -1)  # an int64 overflows to its least value
    seconds, minutes, hours = whole % 60 * back, whole // 60 % 60 * back, whole // 3600 % 24 * back
    if days := whole // 86400 * back:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_short(value, 's')}"


def humanize_percentage(given: Value) -> str:
    """A ratio as a percentage: 12.35%."""
    return _short(to_float(given) * 100, "%")


def humanize_timestamp(given: Value) -> str:
    """Unix seconds as 2015-06-23 13:19:44.128 +0000 UTC."""
    value = to_float(given)
    return str(_time(value)) if math.isfinite(value) else _short(value)


def to_time(given: Value) -> PointedTime:
    """Unix seconds as a time."""
    value = to_float(given)
    if not math.isfinite(value):
        raise FunctionError("value is NaN or Inf")
    return _time(value)


def _time(value: float) -> PointedTime:
    """A time, cut to the millisecond."""
    ns = value * 1e9
    if not -(2.0**63) <= ns <= 2.0**63:
        reason = "cannot be represented as a nanoseconds timestamp since it overflows int64"
        raise FunctionError(f"{shortest(value)} {reason}")
    ms = abs(int(ns)) // 1_000_000
    return PointedTime((ms if ns >= 0 else -ms) * 1_000_000)


def to_duration(given: Value) -> PointedDuration:
    """Seconds as a duration."""
    value = to_float(given) * 1e9
    return PointedDuration(int(value) if abs(value) < 2.0**63 else -(1 << 63))


def parse_seconds(text: str) -> float:
    """A Prometheus duration in seconds."""
    negative = text.startswith("-") and len(text) > 1
    try:
        seconds = parse_duration(text[negative:]) / 1000
    except ValueError as err:
        raise FunctionError(str(err).replace(f'"{text[negative:]}"', quote(text))) from None
    return -seconds if negative else seconds
