"""The parameters of the Prometheus HTTP API, checked, with Prometheus' own error texts.

Source: prometheus/web/api/v1/api.go, parseTime, parseDuration, parseLimitParam.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from exporter.duration import parse_duration
from exporter.promql.question import RangeQuery
from exporter.web.body import Form

T = TypeVar("T")

MAX_POINTS = 11_000
_MAX_MS = 1 << 62  # leaves room for looking back and ahead in 64 bits
MIN_TIME_MS, MAX_TIME_MS = -_MAX_MS, _MAX_MS
_FORMATTED_EDGES = {
    "-292273086-05-16T16:47:06Z": MIN_TIME_MS,
    "292277025-08-18T07:12:54.999999999Z": MAX_TIME_MS,
}
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


class BadParameter(ValueError):
    """A parameter that cannot be used; the message is what the client is told."""


def parse_time(text: str) -> int:
    """Unix milliseconds of float seconds or RFC 3339. Raises ValueError."""
    if text in _FORMATTED_EDGES:
        return _FORMATTED_EDGES[text]
    if _FLOAT.fullmatch(text):
        seconds = float(text)
        if abs(seconds) * 1000 <= _MAX_MS:
            return math.floor(seconds) * 1000 + round((seconds - math.floor(seconds)) * 1000)
    elif match := _RFC3339.fullmatch(text):
        return _rfc3339_ms(text, *match.groups())
    raise ValueError(f"cannot parse {_quoted(text)} to a valid timestamp")


def _rfc3339_ms(text: str, moment: str, fraction: str | None, zone: str) -> int:
    try:
        whole = datetime.fromisoformat(moment + ("+00:00" if zone == "Z" else zone))
    except ValueError as err:
        raise ValueError(f"cannot parse {_quoted(text)} to a valid timestamp") from err
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    since = whole - epoch
    return (since.days * 86_400 + since.seconds) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def parse_duration_ms(text: str) -> float:
    """Milliseconds of float seconds or a Prometheus duration, in whole nanoseconds. Raises ValueError."""
    if _FLOAT.fullmatch(text):
        nanoseconds = float(text) * 1e9
        if abs(nanoseconds) > 2**63:
            raise ValueError(f"cannot parse {_quoted(text)} to a valid duration. It overflows int64")
        return int(nanoseconds) / 1e6
    try:
        return float(parse_duration(text))
    except ValueError as err:
        raise ValueError(f"cannot parse {_quoted(text)} to a valid duration") from err


def _quoted(text: str) -> str:
    """As Go's %q would show it, shortened."""
    shown = text if len(text) <= 200 else text[:200] + "…"
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _parameter(form: Form, name: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(form.get(name))
    except ValueError as err:
        raise BadParameter(f'invalid parameter "{name}": {err}') from err


def time_ms(form: Form, name: str, default: int) -> int:
    """A point in time; the default where the parameter is empty. Raises BadParameter."""
    return _parameter(form, name, parse_time) if form.get(name) else default


def required_time_ms(form: Form, name: str) -> int:
    """A point in time that must be given. Raises BadParameter."""
    return _parameter(form, name, parse_time)


def duration_ms(form: Form, name: str) -> float | None:
    """A duration, None where it is not given. Raises BadParameter."""
    return _parameter(form, name, parse_duration_ms) if form.get(name) else None


def lookback_ms(form: Form) -> int | None:
    """`lookback_delta`, None where it is not given. Raises BadParameter."""
    try:
        given = parse_duration_ms(form.get("lookback_delta")) if form.get("lookback_delta") else None
    except ValueError as err:
        raise BadParameter(f"error parsing lookback delta duration: {err}") from err
    return None if given is None or given <= 0 else max(1, int(given))


def limit(form: Form) -> int:
    """A maximum number of results, 0 for none. Raises BadParameter."""
    if not form.get("limit"):
        return 0
    most = _parameter(form, "limit", _whole)
    if most < 0:
        raise BadParameter('invalid parameter "limit": limit must be non-negative')
    return most


def number_of(form: Form, name: str) -> int | None:
    """How many of something `metadata` is to show at most; None where it is not given or negative, all then.

    Raises BadParameter.
    """
    try:
        most = _whole(form.get(name)) if form.get(name) else -1
    except ValueError:
        raise BadParameter(f"{name} must be a number") from None
    return None if most < 0 else most


def _whole(text: str) -> int:
    """Source: Go's strconv.Atoi."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"strconv.Atoi: parsing {_quoted(text)}: invalid syntax")
    number = int(text) if len(text) <= 20 else 1 << 64
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"strconv.Atoi: parsing {_quoted(text)}: value out of range")
    return number


def range_query(form: Form) -> RangeQuery:
    """`query`, `start`, `end`, `step` and `lookback_delta`: at most 11,001 steps. Raises BadParameter."""
    start, end = required_time_ms(form, "start"), required_time_ms(form, "end")
    if end < start:
        raise BadParameter('invalid parameter "end": end timestamp must not be before start time')
    step = _parameter(form, "step", parse_duration_ms)
    if step <= 0:
        raise BadParameter(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
            "Try a positive integer"
        )
    if (end - start) // step > MAX_POINTS:
        raise BadParameter(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    whole = max(1, int(step))  # as there, nothing below a millisecond counts
    return RangeQuery(form.get("query"), start, end, whole, lookback_ms(form))
