"""What baseline + delta saves on a day of the fleet, and what a dead band of 5 % would do to the same day."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figure import Figure
from exporter.model import MetricType, Snapshot
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.open import open_store

DAY_MS = 86_400_000
START_MS = 1_750_000_000_000 // DAY_MS * DAY_MS
TICK_MS = 15_000
DEAD_BAND = 0.05
RAW_BYTES = 16


def figures() -> Iterator[Figure]:
    """A day of 20 servers, made, kept in SQLite and compared with its raw size."""
    simulator = Simulator(make_fleet(20), seed=1, interval_ms=TICK_MS)
    started = time.perf_counter()
    day = list(simulator.ticks(START_MS + TICK_MS, START_MS + DAY_MS))
    made_s = time.perf_counter() - started
    samples = sum(len(column.values) for snapshot in day for column in snapshot.columns)
    yield Figure("making a day of 20 servers", made_s, "s")
    yield from _kept(day, samples)
    yield from _dead_band(day)


def _kept(day: list[Snapshot], samples: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.db"
        database = Database(open_store(f"sqlite:///{path}"))
        started = time.perf_counter()
        for snapshot in day:
            database.append(snapshot)
        appended_s = time.perf_counter() - started
        database.flush(120)
        database.expire(day[-1].t_ms)
        database.flush(120)
        database.close()
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    yield Figure("appending a tick of it", appended_s / len(day) * 1e3, "ms", 20.0)
    yield Figure("bytes per sample in the SQLite file, lossless", size / samples, "B")
    yield Figure("of the raw size (16 B per sample)", size / samples / RAW_BYTES * 100, "%", 35.0)


def _dead_band(day: list[Snapshot]) -> Iterator[Figure]:
    """Share of 5-minute increases of counters, and of memory above 80 %, that a dead band of 5 % would hide."""
    grown = hidden = high = unseen = 0
    for position, column in enumerate(day[0].columns):
        values = np.array([snapshot.columns[position].values for snapshot in day])
        kept = _with_dead_band(values)
        if column.index.family.type is MetricType.COUNTER:
            true, seen = (series[20:] - series[:-20] for series in (values, kept))
            grown += int((true > 0).sum())
            hidden += int(((true > 0) & (seen == 0)).sum())
        elif column.index.metric == "openmanager_memory_usage_percent":
            high += int((values > 80).sum())
            unseen += int(((values > 80) & (kept <= 80)).sum())
    yield Figure("a dead band of 5 %: five-minute increases of counters turned into 0", hidden / grown * 100, "%")
    yield Figure("a dead band of 5 %: samples of memory above 80 % shown as 80 % or less", unseen / high * 100, "%")


def _with_dead_band(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each sample, or the last one kept where it is within 5 % of that. values: shape (ticks, series)."""
    kept = values.copy()
    for before, now in itertools.pairwise(kept):
        close = np.abs(now - before) <= DEAD_BAND * np.abs(before)
        now[close] = before[close]
    return kept
