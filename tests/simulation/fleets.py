"""Fleets for tests, and their snapshots as flat mappings."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model import Snapshot
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator

MONDAY_MS = 1_795_392_000_000  # 2026-11-23 00:00 UTC
TICK_MS = 15_000
HOUR_MS = 3_600_000

Key = tuple[str, tuple[str, ...]]


def a_log(servers: int = 20) -> IncidentLog:
    """A log without incidents for a fleet made with seed 1."""
    return IncidentLog(make_fleet(servers), shipped_roles(), shipped_scenarios())


def a_simulator(
    servers: int = 20, seed: int = 1, log: IncidentLog | None = None, interval_ms: int = TICK_MS
) -> Simulator:
    """A simulator of a fleet made with seed 1."""
    return Simulator(make_fleet(servers), seed=seed, incidents=log, interval_ms=interval_ms)


def flat(snapshot: Snapshot) -> dict[Key, float]:
    """(metric, values of the labels) -> value."""
    return {
        (column.index.metric, row): float(value)
        for column in snapshot.columns
        for row, value in zip(column.index.rows, column.values, strict=True)
    }


def same(a: Snapshot, b: Snapshot) -> bool:
    """Whether two snapshots have the same series and the same bits."""
    return a.t_ms == b.t_ms and all(
        x.index.metric == y.index.metric and x.index.rows == y.index.rows and x.values.tobytes() == y.values.tobytes()
        for x, y in zip(a.columns, b.columns, strict=True)
    )


def falls(snapshots: Iterable[Snapshot]) -> dict[str, set[int]]:
    """Server -> times (ms) at which a counter of it was lower than before."""
    before: dict[Key, float] = {}
    found: dict[str, set[int]] = {}
    for snapshot in snapshots:
        for column in snapshot.columns:
            if column.index.metric.endswith(("_total", "_bucket", "_sum", "_count")):
                for row, value in zip(column.index.rows, column.values.tolist(), strict=True):
                    if value < before.get((column.index.metric, row), 0.0):
                        found.setdefault(row[0], set()).add(snapshot.t_ms)
                    before[column.index.metric, row] = value
    return found
