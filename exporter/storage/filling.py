"""The fleet's past, many ticks at once: what live logs of them would hold when they are sealed, without the logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import Column, SeriesIndex, Snapshot
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import STALE, Run
from exporter.storage.layout import PART_SLOTS, window_of
from exporter.storage.live import Composition
from exporter.storage.sealing import runs_of
from exporter.storage.segment import Segment

if TYPE_CHECKING:
    from exporter.model import Samples, Times


@dataclass(slots=True, eq=False)
class Filled:
    """Ticks of one window: by metric and part, the blocks of samples that are to become one.

    `segments` are those that the blocks name, `data` their bytes. `samples` counts without the stale markers.
    """

    window_ms: int
    samples: int = 0
    pieces: dict[tuple[str, int], list[Block]] = field(default_factory=dict)
    segments: dict[bytes, Segment] = field(default_factory=dict)
    data: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, metric: str, part: int, runs: tuple[Run, ...], t_ms: Times, values: Samples) -> None:
        """Add samples of a metric's part. values: shape (series of the runs, instants)."""
        self.pieces.setdefault((metric, part), []).append(Block(runs, t_ms, {VALUE: values}, None))


class Filling:
    """Turns ticks into blocks. Not thread-safe: its owner locks.

    Series that do not go on get a stale marker at the first tick without them, as in live logs.
    """

    def __init__(self) -> None:
        self._compositions: dict[str, Composition] = {}

    def filled(self, before: Snapshot | None, ticks: Sequence[Snapshot]) -> Filled:
        """Ticks of one window, in order. before: the one that they follow, if there is one."""
        found = Filled(window_of(ticks[0].t_ms))
        t_ms = np.array([tick.t_ms for tick in ticks], np.int64)
        known = {column.index.metric: column.index for column in before.columns} if before else {}
        by_metric = [{column.index.metric: column for column in tick.columns} for tick in ticks]
        for metric in dict.fromkeys([*known, *(metric for columns in by_metric for metric in columns)]):
            self._put_metric(found, t_ms, known.get(metric), [columns.get(metric) for columns in by_metric])
        return found

    def _put_metric(
        self, found: Filled, t_ms: Times, before: SeriesIndex | None, columns: Sequence[Column | None]
    ) -> None:
        for begin, end, index in _stretches(columns):
            if before is not None:
                self._put_markers(found, before, index, t_ms[begin : begin + 1])
            if index is not None and index.rows:
                values = np.stack([column.values for column in columns[begin:end] if column is not None], axis=1)
                self._put_samples(found, index, t_ms[begin:end], values)
            before = index

    def _put_samples(self, found: Filled, index: SeriesIndex, t_ms: Times, values: Samples) -> None:
        composition = self._composed(found, index)
        found.samples += values.size
        for part, begin in enumerate(range(0, len(values), PART_SLOTS)):
            found.put(index.metric, part, composition.part(part), t_ms, values[begin : begin + PART_SLOTS])

    def _put_markers(self, found: Filled, before: SeriesIndex, index: SeriesIndex | None, t_ms: Times) -> None:
        gone = _vanished(before, index)
        if not gone:
            return
        places = self._composed(found, before).places()
        for part, slots in groupby(gone, key=lambda slot: slot // PART_SLOTS):
            runs = runs_of(places[slot] for slot in slots)
            markers = np.repeat(STALE[None], sum(run.count for run in runs), axis=0)
            found.put(before.metric, part, runs, t_ms, markers)

    def _composed(self, found: Filled, index: SeriesIndex) -> Composition:
        """Which segments' rows an index's series are; those come along."""
        composition = Composition.of(index, self._compositions.get(index.metric))
        self._compositions[index.metric] = composition
        found.segments.update((segment.digest, segment) for segment in composition.segments)
        found.data.update(composition.bytes)
        return composition


def _stretches(columns: Sequence[Column | None]) -> Iterator[tuple[int, int, SeriesIndex | None]]:
    """(begin, end, index) of the ticks in which a metric has the same series; no index where it has none."""
    end = 0
    for index, stretch in groupby(columns, key=lambda column: None if column is None else column.index):
        begin, end = end, end + len(list(stretch))
        yield begin, end, index


def _vanished(before: SeriesIndex, after: SeriesIndex | None) -> list[int]:
    """The slots whose series do not go on."""
    if after is before:
        return []
    slots = range(len(before.rows))
    if after is not None and after.label_names == before.label_names:
        rows = set(after.rows)
        return [slot for slot in slots if before.rows[slot] not in rows]
    labels = {after.labels(row) for row in range(len(after.rows))} if after is not None else set()
    return [slot for slot in slots if before.labels(slot) not in labels]
