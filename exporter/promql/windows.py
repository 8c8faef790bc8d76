"""Samples in ranges: blocks of series that share their times, and the window of each step in them.

Whatever has holes is cut into blocks without any: series with the same holes share one, an
irregular series is a block of its own. So each function over ranges is written once, for a dense
(n, m) array, and is as fast as the data is regular.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporter.model import Labels, SeriesSet
from exporter.promql.arrays import Mask, Samples, Times
from exporter.promql.selection import is_stale
from exporter.promql.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """n series over m instants, no sample missing, no stale markers.

    t_ms: shape (m,), increasing, m >= 1. values: shape (n, m). drop_name: shape (n,).
    widths_ms: shape (m,), counts: shape (n, m), as in SeriesSet.
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Samples
    drop_name: Mask
    widths_ms: Times | None = None
    counts: Samples | None = None

    def rows(self, begin: int, end: int) -> Block:
        """Some of the series; labels and names stay."""
        counts = None if self.counts is None else self.counts[begin:end]
        return replace(self, values=self.values[begin:end], counts=counts)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """For each of k steps the samples of a block in (end - range, end]. Each array is of shape (k,).

    starts, ends: the window is columns starts[i] up to ends[i], both never falling. lengths: how many.
    first, last: the columns of its first and last sample; 0 where there is none.
    ends_ms: where each window ends. at_ms: when each step is.
    share: shape (k,), how much of its aggregates' time a window covers, 1 or less; None when 1 everywhere.
    """

    starts: Times
    ends: Times
    lengths: Times
    first: Times
    last: Times
    ends_ms: Times
    at_ms: Times
    range_ms: int
    share: Samples | None = None

    @staticmethod
    def over(
        t_ms: Times, ends_ms: Times, at_ms: Times, range_ms: int, widths_ms: Times | None = None, least: int = 1
    ) -> Windows:
        """The windows that end at `ends_ms` over samples at `t_ms`.

        One too short for `least` aggregates takes in those before, as long as their time reaches into it.
        """
        starts = np.searchsorted(t_ms, ends_ms - range_ms, side="right")
        ends = np.searchsorted(t_ms, ends_ms, side="right")
        share = None
        if widths_ms is not None and len(t_ms):
            starts = _widened(t_ms, widths_ms, starts, ends, ends_ms, least)
            share = np.minimum(range_ms / np.maximum(widths_ms[ends - 1], 1), 1.0)
        lengths = ends - starts
        there = lengths > 0
        return Windows(starts, ends, lengths, starts * there, (ends - 1) * there, ends_ms, at_ms, range_ms, share)


def _widened(t_ms: Times, widths_ms: Times, starts: Times, ends: Times, ends_ms: Times, least: int) -> Times:
    """Where the windows start that may take in aggregates from before; never falling."""
    first, last = np.maximum(ends - least, 0), np.maximum(ends - 1, 0)
    width = np.maximum(widths_ms[first], widths_ms[last])
    short = (ends - starts < least) & (ends >= least) & (width > 0)
    reaches = (ends > starts) | (t_ms[last] + widths_ms[last] > ends_ms)
    adjacent = t_ms[last] - t_ms[first] <= (least - 1) * width
    wide = np.where(short & reaches & adjacent, first, starts)
    return np.minimum.accumulate(wide[::-1])[::-1]


def blocks_of(sets: Sequence[SeriesSet]) -> Iterator[Block]:
    """Stored samples as blocks."""
    for one in sets:
        if len(one.labels) and len(one.t_ms):
            keeps = np.zeros(len(one.labels), dtype=bool)
            yield from _blocks(Block(one.labels, one.t_ms, one.values, keeps, one.widths_ms, one.counts), one.present)


def blocks_of_series(series: Series, times_ms: Times) -> Iterator[Block]:
    """What a subquery evaluated to, as blocks."""
    if len(series) and len(times_ms):
        yield from _blocks(Block(series.labels, times_ms, series.values, series.drop_name), series.present)


def _blocks(whole: Block, present: Mask | None) -> Iterator[Block]:
    usable = _usable(whole.values, present)
    if usable is None:
        yield whole
        return
    for rows in _alike(usable):
        columns = np.flatnonzero(usable[rows[0]])
        if len(columns):
            yield _cut(whole, rows, columns)


def _cut(whole: Block, rows: list[int], columns: Times) -> Block:
    """Some series at some instants."""

    def cut(values: Samples) -> Samples:
        return values[rows] if len(columns) == len(whole.t_ms) else values[np.array(rows)[:, None], columns]

    return Block(
        [whole.labels[i] for i in rows],
        whole.t_ms[columns],
        cut(whole.values),
        whole.drop_name[rows],
        None if whole.widths_ms is None else whole.widths_ms[columns],
        None if whole.counts is None else cut(whole.counts),
    )


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
