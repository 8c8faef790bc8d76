"""When each server was last booted: patched once a quarter, in the second half of its last month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np

from exporter.simulation.noise import Indices, keys, uniform

_EPOCH = dt.date(1970, 1, 1)
_FIRST, _WINDOW = 18, 11  # days of March, June, September, December


def boot_days(seed: int, names: Sequence[str], day: int) -> Indices:
    """The last day, not after `day`, at whose start each server was booted. Days since 1970; shape (n,)."""
    date = _EPOCH + dt.timedelta(days=day)
    quarter = date.year * 4 + (date.month - 1) // 3
    of = keys(seed, list(names), "boot")
    this, before = (_in_quarter(number) + _turn(of, number) for number in (quarter, quarter - 1))
    latest: Indices = np.where(this <= day, this, before)
    return latest


def _in_quarter(quarter: int) -> int:
    return (dt.date(quarter // 4, quarter % 4 * 3 + 3, _FIRST) - _EPOCH).days


def _turn(of: np.ndarray[tuple[int], np.dtype[np.uint64]], quarter: int) -> Indices:
    turn: Indices = (uniform(of, np.array([quarter], dtype=np.int64)) * _WINDOW).astype(np.int64)
    return turn
