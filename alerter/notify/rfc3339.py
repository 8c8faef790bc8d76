"""Times as JSON APIs write them."""

from __future__ import annotations

import datetime

NEVER = "0001-01-01T00:00:00Z"
"""How Go writes a time that is not set."""


def rfc3339(t_s: float) -> str:
    """Unix seconds as 2023-11-14T22:13:20.500Z, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(round(t_s * 1000) / 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
