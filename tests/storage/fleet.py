"""A small fleet with every kind of value, and the truth about what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import (
    METRIC_NAME,
    Column,
    Family,
    Labels,
    Matcher,
    MatchType,
    MetricType,
    SeriesIndex,
    SeriesSet,
    Snapshot,
)
from exporter.storage.database import Database

if TYPE_CHECKING:
    from exporter.model import Samples

STEP_MS = 15_000
START_MS = 1_800_000_000_000 // 7_200_000 * 7_200_000
EVER = (-(2**60), 2**60)

CPU = Family("node_cpu_percent", MetricType.GAUGE, "cpu", "percent")
REQUESTS = Family("node_requests_total", MetricType.COUNTER, "requests")
LOAD = Family("node_load", MetricType.GAUGE, "load, as floats come")
UP = Family("node_up", MetricType.GAUGE, "1 or 0")


def index(family: Family, servers: Sequence[str]) -> SeriesIndex:
    """One series for each server."""
    return SeriesIndex(family, family.name, ("server", "zone"), tuple((name, "a") for name in servers))


def named(metric: str, **labels: str) -> list[Matcher]:
    """Equality matchers."""
    pairs = {METRIC_NAME: metric, **labels}
    return [Matcher(MatchType.EQUAL, name, value) for name, value in pairs.items()]


@dataclass
class Fleet:
    """Ticks of random walks; `said` is what each series was, bit by bit, a stale marker where it ended."""

    servers: tuple[str, ...] = ("web-01", "web-02", "db-01")
    seed: int = 1
    t_ms: int = START_MS
    said: dict[Labels, dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._values: dict[str, Samples] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], SeriesIndex] = {}

    def _index(self, family: Family) -> SeriesIndex:
        key = (family.name, tuple(self.servers))
        return self._indexes.setdefault(key, index(family, self.servers))

    def _walk(self, family: Family) -> Samples:
        count = len(self.servers)
        before = self._values.get(family.name, np.full(count, 50.0))
        before = before if len(before) == count else np.full(count, 50.0)
        steps = {
            CPU.name: np.round(self._random.normal(0, 1, count), 2),
            REQUESTS.name: self._random.poisson(20, count).astype(float),
            LOAD.name: self._random.normal(0, 0.1, count),
            UP.name: np.zeros(count),
        }[family.name]
        after = before + steps
        self._values[family.name] = np.round(after, 2) if family is CPU else after
        return self._values[family.name].copy()

    def tick(self) -> Snapshot:
        """The next one."""
        columns = tuple(Column(self._index(family), self._walk(family)) for family in (CPU, REQUESTS, LOAD, UP))
        snapshot = Snapshot(self.t_ms, columns)
        note(self.said, snapshot)
        self.t_ms += STEP_MS
        return snapshot

    def run(self, database: Database, ticks: int) -> None:
        """Append this many."""
        for _ in range(ticks):
            database.append(self.tick())


def note(said: dict[Labels, dict[int, int]], snapshot: Snapshot) -> None:
    """Add a tick to the truth."""
    for column in snapshot.columns:
        for row, bits in enumerate(column.values.view(np.uint64).tolist()):
            said.setdefault(column.index.labels(row), {})[snapshot.t_ms] = bits


def samples(sets: Sequence[SeriesSet]) -> dict[Labels, dict[int, int]]:
    """Bits by label set and time; fails where a label set comes twice."""
    found: dict[Labels, dict[int, int]] = {}
    for each in sets:
        assert (np.diff(each.t_ms) > 0).all()
        bits = np.ascontiguousarray(each.values).view(np.uint64)
        for row, labels in enumerate(each.labels):
            assert labels not in found, f"{labels} comes twice"
            there = np.ones(len(each.t_ms), bool) if each.present is None else each.present[row]
            found[labels] = dict(zip(each.t_ms[there].tolist(), bits[row][there].tolist(), strict=True))
            assert found[labels], f"{labels} has no sample"
    return found


def everything(database: Database) -> dict[Labels, dict[int, int]]:
    """All samples of all series."""
    return samples(database.select([], *EVER))
