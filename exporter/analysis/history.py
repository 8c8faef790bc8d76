"""The stored past as the snapshots it was made of, so that the analysis does not start blind after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.analysis.analyst import Analyst
from exporter.analysis.servers import READ, Readings
from exporter.analysis.status import Judge
from exporter.model import (
    METRIC_NAME,
    Column,
    Family,
    Matcher,
    MatchType,
    MetricType,
    Queryable,
    SeriesIndex,
    SeriesSet,
    Snapshot,
)

PAST_MS = 6 * 3_600_000
_PART_MS = 30 * 60_000  # read at once: memory stays small


def warm_up(
    analyst: Analyst,
    samples: Queryable,
    end_ms: int,
    past_ms: int = PAST_MS,
    going_on: Callable[[], bool] = lambda: True,
) -> int:
    """Let an analyst watch the stored past up to but not at a time, while it goes on; how many ticks there were."""
    readings, judge, ticks = Readings(), Judge(), 0
    for snapshot in snapshots(samples, end_ms - past_ms, end_ms):
        if not going_on():
            break
        fleet = judge.judge(snapshot.t_ms, readings.read(snapshot))
        analyst.observe(snapshot, fleet)
        ticks += 1
    return ticks


def snapshots(samples: Queryable, start_ms: int, end_ms: int, metrics: Iterable[str] = READ) -> Iterator[Snapshot]:
    """The stored samples of some metrics from start to before end, tick by tick."""
    names = tuple(metrics)
    families = samples.families()
    tables = {name: _Table(families.get(name) or Family(name, MetricType.UNKNOWN, "")) for name in names}
    for part_ms in range(start_ms, end_ms, _PART_MS):
        last_ms = min(part_ms + _PART_MS, end_ms) - 1
        for name, table in tables.items():
            table.read(samples.select([Matcher(MatchType.EQUAL, METRIC_NAME, name)], part_ms, last_ms))
        for t_ms in sorted(set().union(*(table.ticks for table in tables.values()))):
            columns = (table.at(t_ms) for table in tables.values())
            yield Snapshot(t_ms, tuple(column for column in columns if column is not None))


@dataclass(slots=True)
class _Part:
    """Some series over shared ticks. values: shape (series, ticks), NaN where there is none."""

    rows: tuple[tuple[tuple[str, str], ...], ...]
    values: NDArray[np.float64]
    ticks: Mapping[int, int]


class _Table:
    """One metric over a part of the past."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._parts: list[_Part] = []
        self._indexes: dict[tuple[tuple[tuple[str, str], ...], ...], SeriesIndex] = {}
        self.ticks: set[int] = set()

    def read(self, sets: Iterable[SeriesSet]) -> None:
        self._parts = [_part(found) for found in sets]
        self.ticks = {t_ms for part in self._parts for t_ms in part.ticks}

    def at(self, t_ms: int) -> Column | None:
        """The samples of one tick; None where there are none."""
        rows: list[tuple[tuple[str, str], ...]] = []
        values: list[float] = []
        for part in self._parts:
            at = part.ticks.get(t_ms)
            if at is not None:
                column = part.values[:, at]
                there = np.flatnonzero(~np.isnan(column)).tolist()
                rows += [part.rows[i] for i in there]
                values += column[there].tolist()
        return Column(self._index(tuple(rows)), np.array(values)) if rows else None

    def _index(self, rows: tuple[tuple[tuple[str, str], ...], ...]) -> SeriesIndex:
        index = self._indexes.get(rows)
        if index is None:
            names = tuple(sorted({name for row in rows for name, _ in row} - {METRIC_NAME}))
            labelled = tuple(tuple(dict(row).get(name, "") for name in names) for row in rows)
            index = self._indexes[rows] = SeriesIndex(self._family, self._family.name, names, labelled)
        return index


def _part(found: SeriesSet) -> _Part:
    values = found.values if found.present is None else np.where(found.present, found.values, np.nan)
    return _Part(tuple(found.labels), values, {t_ms: i for i, t_ms in enumerate(found.t_ms.tolist())})
