"""Samples in ranges: blocks of series that share their times, and the window of each step in them.

Whatever has holes is cut into blocks without any: series with the same holes share one, an
irregular series is a block of its own. So each function over ranges is written once, for a dense
(n, m) array, and is as fast as the data is regular.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.model import Labels, SeriesSet
from exporter.promql.arrays import Mask, Samples, Times
from exporter.promql.selection import is_stale
from exporter.promql.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """n series over m instants, no sample missing, no stale markers.

    t_ms: shape (m,), increasing, m >= 1. values: shape (n, m). drop_name: shape (n,).
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Samples
    drop_name: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """For each of k steps the samples of a block in (end - range, end]. Each array is of shape (k,).

    starts, ends: the window is columns starts[i] up to ends[i], both never falling. lengths: how many.
    first, last: the columns of its first and last sample; 0 where there is none.
    ends_ms: where each window ends. at_ms: when each step is.
    """

    starts: Times
    ends: Times
    lengths: Times
    first: Times
    last: Times
    ends_ms: Times
    at_ms: Times
    range_ms: int

    @staticmethod
    def over(t_ms: Times, ends_ms: Times, at_ms: Times, range_ms: int) -> Windows:
        """The windows that end at `ends_ms` over samples at `t_ms`."""
        starts = np.searchsorted(t_ms, ends_ms - range_ms, side="right")
        ends = np.searchsorted(t_ms, ends_ms, side="right")
        lengths = ends - starts
        there = lengths > 0
        return Windows(starts, ends, lengths, starts * there, (ends - 1) * there, ends_ms, at_ms, range_ms)


def blocks_of(sets: Sequence[SeriesSet]) -> Iterator[Block]:
    """Stored samples as blocks."""
    for one in sets:
        if len(one.labels) and len(one.t_ms):
            yield from _blocks(one.labels, one.t_ms, one.values, one.present, np.zeros(len(one.labels), dtype=bool))


def blocks_of_series(series: Series, times_ms: Times) -> Iterator[Block]:
    """What a subquery evaluated to, as blocks."""
    if len(series) and len(times_ms):
        yield from _blocks(series.labels, times_ms, series.values, series.present, series.drop_name)


def _blocks(
    labels: Sequence[Labels], t_ms: Times, values: Samples, present: Mask | None, drop_name: Mask
) -> Iterator[Block]:
    usable = _usable(values, present)
    if usable is None:
        yield Block(labels, t_ms, values, drop_name)
        return
    for rows in _alike(usable):
        columns = np.flatnonzero(usable[rows[0]])
        if not len(columns):
            continue
        part = values[rows] if len(columns) == len(t_ms) else values[np.array(rows)[:, None], columns]
        yield Block([labels[i] for i in rows], t_ms[columns], part, drop_name[rows])


def _usable(values: Samples, present: Mask | None) -> Mask | None:
    """Where there is a sample that is no stale marker; None when everywhere."""
    usable = present
    if np.isnan(values).any():
        fresh = ~is_stale(values)
        usable = fresh if usable is None else usable & fresh
    return None if usable is None or usable.all() else usable


def _alike(usable: Mask) -> Iterator[list[int]]:
    """The rows, those with the same holes together."""
    groups: dict[bytes, list[int]] = {}
    packed = np.packbits(usable, axis=1)
    for i in range(len(usable)):
        groups.setdefault(packed[i].tobytes(), []).append(i)
    yield from groups.values()
