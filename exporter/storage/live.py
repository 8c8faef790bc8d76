"""One metric's live log: its series in fixed slots, a growing log for every PART_SLOTS of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import SeriesIndex
from exporter.storage import segment as segments
from exporter.storage.frame import Encoder, Run
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import GROUP_FRAMES, LIVE, LOG_MS, PART_SLOTS, window_of
from exporter.storage.segment import Segment
from exporter.storage.store import Log

if TYPE_CHECKING:
    from exporter.model import Mask, Samples

_FEWEST_ROWS_PER_RUN = 8


class Composition:
    """Which segments' rows a metric's slots are. `segments` are those, with their bytes."""

    __slots__ = ("bytes", "runs", "segments")

    def __init__(self, runs: tuple[Run, ...], segment: Segment, data: bytes) -> None:
        self.runs = runs
        self.segments = (segment,)
        self.bytes = {segment.digest: data}

    @classmethod
    def of(cls, index: SeriesIndex, known: Composition | None) -> Composition:
        """Rows of the segment that is known already, where it has them in long runs; else a segment of its own."""
        if known is not None:
            (segment,) = known.segments
            runs = _runs(index, segment)
            if runs is not None:
                return cls(runs, segment, known.bytes[segment.digest])
        segment, data = segments.encode(index)
        return cls((segment.run(),), segment, data)

    def places(self) -> list[tuple[Segment, int]]:
        """For each slot its segment and row."""
        (segment,) = self.segments
        return [(segment, row) for run in self.runs for row in range(run.first, run.first + run.count)]

    def part(self, number: int) -> tuple[Run, ...]:
        """The runs of slots number x PART_SLOTS on."""
        begin, end = number * PART_SLOTS, (number + 1) * PART_SLOTS
        found, at = [], 0
        for run in self.runs:
            first, last = max(begin, at), min(end, at + run.count)
            if first < last:
                found.append(Run(run.segment, run.first + first - at, last - first))
            at += run.count
        return tuple(found)


def _runs(index: SeriesIndex, segment: Segment) -> tuple[Run, ...] | None:
    have = segment.index
    if index.label_names != have.label_names or index.family != have.family or index.metric != have.metric:
        return None
    if index.rows is have.rows or index.rows == have.rows:
        return (segment.run(),)
    places = {row: place for place, row in enumerate(have.rows)}
    found = [places.get(row, -1) for row in index.rows]
    if not found or min(found) < 0:
        return None
    rows = np.array(found)
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    if len(starts) > 4 + len(rows) // _FEWEST_ROWS_PER_RUN:
        return None
    counts = np.diff(np.append(starts, len(rows)))
    return tuple(Run(segment.digest, int(rows[start]), int(count)) for start, count in zip(starts, counts, strict=True))


class LiveMetric:
    """Writes one metric's frames for LOG_MS.

    The series it was opened with keep their slots; one that is absent for a tick gets a stale marker.
    """

    def __init__(self, index: SeriesIndex, composition: Composition, t_ms: int, interval_ms: int, run: str) -> None:
        self.index = index
        self.opened_with = index
        self.composition = composition
        self.window_ms = window_of(t_ms)
        self._start_ms = t_ms
        self._take: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None
        self._frames = 0
        self.present: Mask = np.ones(len(index.rows), np.bool_)
        parts = range(-(-len(index.rows) // PART_SLOTS))
        self.logs = [
            GrowingLog(Log(LIVE, index.metric, part, t_ms, run), dict(composition.bytes), composition.part(part))
            for part in parts
        ]
        self._encoders = [Encoder(composition.part(part), interval_ms) for part in parts]

    def accepts(self, index: SeriesIndex, t_ms: int) -> bool:
        """Whether this log goes on with these series: none of them is new."""
        if self._ends_before(t_ms):
            return False
        if index is self.index:
            return True
        if index.label_names != self.opened_with.label_names or index.family != self.opened_with.family:
            return False
        places = {row: place for place, row in enumerate(index.rows)}
        take = np.array([places.pop(row, -1) for row in self.opened_with.rows], np.int64)
        if places:
            return False
        self.index, self._take = index, take
        return True

    def _ends_before(self, t_ms: int) -> bool:
        return window_of(t_ms) != self.window_ms or t_ms - self._start_ms >= LOG_MS

    @property
    def opens_group(self) -> bool:
        """Whether the next frame is a baseline."""
        return self._frames == 0 or self._frames >= GROUP_FRAMES or any(log.torn for log in self.logs)

    def write(self, t_ms: int, values: Samples) -> int:
        """Encode one tick; `values` are those of `index`. Returns the bytes of its frames."""
        if self._take is None:
            present = np.ones(len(values), np.bool_)
        else:
            present = self._take >= 0
            values = np.where(present, values[self._take], 0.0) if len(values) else np.zeros(len(present))
        return self._write(t_ms, values, present)

    def write_absent(self, t_ms: int) -> int:
        """The metric is not there any more: a stale marker for each series that was."""
        if not self.present.any():
            return 0
        self.index = SeriesIndex(self.index.family, self.index.metric, self.index.label_names, ())
        self._take = np.full(len(self.present), -1)
        return self._write(t_ms, np.zeros(len(self.present)), np.zeros(len(self.present), np.bool_))

    def _write(self, t_ms: int, values: Samples, present: Mask) -> int:
        # a baseline cannot say that a series has just gone: that tick stays in the group before
        opens = self.opens_group and not (self._frames and (self.present & ~present).any())
        written = 0
        for encoder, log, (begin, end) in zip(self._encoders, self.logs, self._bounds(), strict=True):
            part, there = values[begin:end], present[begin:end]
            frame = (encoder.baseline if opens else encoder.delta)(t_ms, part, there)
            samples = int(np.count_nonzero(there | self.present[begin:end]))
            log.write(t_ms, frame, samples, opens_group=opens)
            written += len(frame)
        self.present = present
        self._frames = 1 if opens else self._frames + 1
        return written

    def _bounds(self) -> Iterator[tuple[int, int]]:
        total = len(self.present)
        return ((begin, min(begin + PART_SLOTS, total)) for begin in range(0, total, PART_SLOTS))

    def close(self) -> None:
        """Nothing more will be written here."""
        for log in self.logs:
            log.closed = True

    def vanished(self, index: SeriesIndex | None) -> list[int]:
        """The slots that have a series now, and none in this index."""
        if index is not None and index is self.index:
            return []
        here = set()
        if index is not None and index.label_names == self.opened_with.label_names:
            here = set(index.rows)
            return [slot for slot in np.flatnonzero(self.present).tolist() if self.opened_with.rows[slot] not in here]
        labels = {index.labels(i) for i in range(len(index.rows))} if index is not None else set()
        return [slot for slot in np.flatnonzero(self.present).tolist() if self.opened_with.labels(slot) not in labels]
