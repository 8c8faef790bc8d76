"""Parts of dates, in UTC, of values that are Unix seconds.

Source: prometheus/promql/functions.go, dateWrapper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporter.promql.arrays import Samples

_Moments = NDArray[np.datetime64]

# Beyond these numpy has no dates; they are some 292 thousand million years away.
_FURTHEST = 9.2e18
_SECONDS_END = 2.0**63


def date_part(name: str, seconds: Samples) -> Samples:
    """The part that the function `name` gives. Fractions of a second are cut off.

    What no 64 bits of seconds can hold, NaN too, is the moment just after them, as it is where Go runs on x86-64.
    """
    known = (seconds >= -_SECONDS_END) & (seconds < _SECONDS_END)
    whole = np.clip(np.where(known, np.trunc(seconds), 0), -_FURTHEST, _FURTHEST).astype(np.int64)
    part = _PARTS[name](whole.astype("datetime64[s]")).astype(float)
    return np.where(known, part, _AFTER_ALL[name])


def _since(moments: _Moments, coarse: str, fine: str) -> NDArray[np.int64]:
    """How many whole `fine` units since the last whole `coarse` unit."""
    distance: NDArray[Any] = moments.astype(f"datetime64[{fine}]") - moments.astype(f"datetime64[{coarse}]")
    units: NDArray[np.int64] = distance.astype(np.int64)
    return units


def _days_in_month(moments: _Moments) -> NDArray[np.int64]:
    month = moments.astype("datetime64[M]")
    length: NDArray[Any] = (month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")
    days: NDArray[np.int64] = length.astype(np.int64)
    return days


_PARTS: dict[str, Callable[[_Moments], NDArray[np.int64]]] = {
    "year": lambda moments: moments.astype("datetime64[Y]").astype(np.int64) + 1970,
    "month": lambda moments: _since(moments, "Y", "M") + 1,
    "day_of_month": lambda moments: _since(moments, "M", "D") + 1,
    "day_of_year": lambda moments: _since(moments, "Y", "D") + 1,
    "day_of_week": lambda moments: (moments.astype("datetime64[D]").astype(np.int64) + 4) % 7,
    "days_in_month": _days_in_month,
    "hour": lambda moments: _since(moments, "D", "h"),
    "minute": lambda moments: _since(moments, "h", "m"),
}

_AFTER_ALL = {
    "year": 292_277_026_596.0,
    "month": 12.0,
    "day_of_month": 4.0,
    "day_of_year": 339.0,
    "day_of_week": 0.0,
    "days_in_month": 31.0,
    "hour": 15.0,
    "minute": 30.0,
}

DATE_PARTS = frozenset(_PARTS)
