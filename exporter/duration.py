"""Prometheus durations: `1h30m` is 5,400,000 ms."""

import re

_UNITS_MS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_MS))
_MAX_MS = (1 << 63) // 1_000_000  # Prometheus keeps durations as int64 nanoseconds


def parse_duration(text: str) -> int:
    """Milliseconds in a Prometheus duration such as `15s`, `1h30m` or `0`.

    Units from y to ms, each at most once and in falling order.
    Raises ValueError with Prometheus' own sentence.
    Source: prometheus/common, model/time.go, ParseDuration.
    """
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'not a valid duration string: "{text}"')
    total = sum(int(count) * _UNITS_MS[unit] for unit, count in match.groupdict().items() if count)
    if total >= _MAX_MS:
        raise ValueError("duration out of range")
    return total


def format_duration(ms: int) -> str:
    """The shortest Prometheus duration of `ms` milliseconds; negative ones get a sign.

    Years and weeks are used only where they divide the whole, as Prometheus prints them.
    Source: prometheus/common, model/time.go, Duration.String.
    """
    if ms == 0:
        return "0s"
    sign, rest = ("-", -ms) if ms < 0 else ("", ms)
    parts = []
    for unit, size in _UNITS_MS.items():
        if unit in ("y", "w") and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
