"""Times as people write them on a command line."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MS = 253_402_300_800_000  # the year 10000


def instant_ms(text: str) -> int:
    """Unix milliseconds of RFC 3339 or Unix seconds. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError:
        return _rfc3339_ms(text)
    if not math.isfinite(seconds) or not 0 <= seconds * 1000 < _MAX_MS:
        raise ValueError(f"{text!r}: must be a time between 1970 and 9999")
    return round(seconds * 1000)


def _rfc3339_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r}: must be RFC 3339, such as 2025-06-01T12:00:00Z, or Unix seconds")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
