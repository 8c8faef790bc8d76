"""A stretch of snapshots turned on its side: for each metric one matrix of series over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.model import Column, SeriesIndex, Snapshot

Floats = NDArray[np.float64]
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Every sample of some snapshots.

    t_ms: shape (m,). rows: by metric, the values of each series' labels, the server's first.
    values: by metric, shape (series, m), NaN where a series has no sample.
    """

    t_ms: NDArray[np.int64]
    rows: Mapping[str, Rows]
    values: Mapping[str, Floats]

    def of(self, metric: str, server: str) -> Floats:
        """A server's series of a metric. Shape (series, m); empty where it has none."""
        chosen = [number for number, row in enumerate(self.rows.get(metric, ())) if row[0] == server]
        return self.values[metric][chosen] if chosen else np.empty((0, len(self.t_ms)))

    def total(self, metric: str, server: str) -> Floats:
        """The sum of a server's series of a metric, over devices, cores, kinds. Shape (m,)."""
        total: Floats = self.of(metric, server).sum(axis=0)
        return total


def record(snapshots: Iterable[Snapshot], metrics: Sequence[str] = ()) -> Recording:
    """These snapshots as a recording; of some metrics only where they are named."""
    times: list[int] = []
    runs: dict[str, list[tuple[SeriesIndex, int, list[Floats]]]] = {}
    for number, snapshot in enumerate(snapshots):
        times.append(snapshot.t_ms)
        for column in snapshot.columns:
            if not metrics or column.index.metric in metrics:
                _extend(runs.setdefault(column.index.metric, []), column, number)
    rows = {
        metric: tuple(dict.fromkeys(row for index, _, _ in parts for row in index.rows))
        for metric, parts in runs.items()
    }
    values = {metric: _joined(rows[metric], parts, len(times)) for metric, parts in runs.items()}
    return Recording(np.array(times, dtype=np.int64), rows, values)


def _extend(parts: list[tuple[SeriesIndex, int, list[Floats]]], column: Column, number: int) -> None:
    if parts and parts[-1][0] is column.index and parts[-1][1] + len(parts[-1][2]) == number:
        parts[-1][2].append(column.values)
    else:
        parts.append((column.index, number, [column.values]))


def _joined(rows: Rows, parts: list[tuple[SeriesIndex, int, list[Floats]]], count: int) -> Floats:
    place = {row: number for number, row in enumerate(rows)}
    joined = np.full((len(rows), count), np.nan)
    for index, first, values in parts:
        if index.rows:
            joined[np.array([place[row] for row in index.rows]), first : first + len(values)] = np.array(values).T
    return joined
