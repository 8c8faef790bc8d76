"""Samples from elsewhere, of any time, on their way to the store: a log of blocks for each metric and window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import METRIC_NAME, Family, Labels, MetricType, SeriesSet
from exporter.storage import segment as segments
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import Run
from exporter.storage.groups import imported_entry
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import IMPORTED, WINDOW_MS
from exporter.storage.segment import Segment
from exporter.storage.store import Log

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

Grown = Callable[[GrowingLog, Iterable[Segment]], None]
"""Told of each log that grows, with the segments that its frames name."""

_REMEMBERED_SERIES = 200_000


class Imports:
    """Encodes what `ingest` takes in. Not thread-safe: its owner locks.

    A label set that has come before is not written again, in whatever company it comes.
    """

    def __init__(self, run: str, grown: Grown) -> None:
        self._run = run
        self._grown = grown
        self._growing: dict[tuple[str, int], GrowingLog] = {}
        self._count = 0
        self._places: dict[Labels, tuple[bytes, int]] = {}
        self._segments: dict[bytes, tuple[Segment, bytes]] = {}

    def ingest(self, sets: Sequence[SeriesSet], families: Mapping[str, Family]) -> int:
        """Take in samples. Returns how many."""
        return sum(self._ingest(each, metric, rows, families) for each in sets for metric, rows in _by_metric(each))

    def _ingest(self, each: SeriesSet, metric: str, rows: list[int], families: Mapping[str, Family]) -> int:
        self._place([each.labels[row] for row in rows], _family_of(metric, families))
        rows = sorted(rows, key=lambda row: self._places[each.labels[row]])
        runs = _runs([self._places[each.labels[row]] for row in rows])
        values = np.asarray(each.values[rows], np.float64)
        present = None if each.present is None else each.present[rows]
        count = 0
        for window, begin, end in _windows(each.t_ms):
            cut = slice(begin, end)
            there = None if present is None else present[:, cut]
            count += self._write(self._log(metric, window, runs), runs, each.t_ms[cut], values[:, cut], there)
        return count

    def _place(self, labels: Sequence[Labels], family: Family) -> None:
        """Give each label set that is new a row of a new segment."""
        if len(self._places) > _REMEMBERED_SERIES:
            self._places.clear()
            self._segments.clear()
        new = [each for each in dict.fromkeys(labels) if each not in self._places]
        if new:
            segment, data = segments.encode(segments.index_of(family, new))
            self._segments[segment.digest] = segment, data
            self._places.update((each, (segment.digest, row)) for row, each in enumerate(new))

    def _log(self, metric: str, window: int, runs: tuple[Run, ...]) -> GrowingLog:
        growing = self._growing.get((metric, window))
        if growing is None:
            self._count += 1
            growing = GrowingLog(Log(IMPORTED, metric, 0, window, f"{self._run}.{self._count}"), {}, ())
            self._growing[metric, window] = growing
        named = {run.segment: self._segments[run.segment] for run in runs}
        growing.name_segments(runs, {digest: data for digest, (_, data) in named.items()})
        self._grown(growing, [segment for segment, _ in named.values()])
        return growing

    def _write(
        self, growing: GrowingLog, runs: tuple[Run, ...], t_ms: Times, values: Samples, present: Mask | None
    ) -> int:
        count = values.size if present is None else int(np.count_nonzero(present))
        entry = imported_entry(Block(runs, t_ms, {VALUE: values}, present))
        growing.write(int(t_ms[0]), entry, count, opens_group=True)
        return count

    def close(self) -> None:
        """The logs end here, so that they can be sealed; what comes later begins new ones."""
        for growing in self._growing.values():
            growing.closed = True
        self._growing.clear()


def _runs(places: Sequence[tuple[bytes, int]]) -> tuple[Run, ...]:
    """Runs of rows that follow each other."""
    found: list[Run] = []
    for digest, row in places:
        last = found[-1] if found else None
        if last and last.segment == digest and last.first + last.count == row:
            found[-1] = Run(digest, last.first, last.count + 1)
        else:
            found.append(Run(digest, row, 1))
    return tuple(found)


def _by_metric(each: SeriesSet) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for row, labels in enumerate(each.labels):
        found.setdefault(dict(labels).get(METRIC_NAME, ""), []).append(row)
    return list(found.items()) if len(each.t_ms) else []


def _family_of(metric: str, families: Mapping[str, Family]) -> Family:
    for suffix in ("", "_bucket", "_sum", "_count"):
        base = metric.removesuffix(suffix)
        if base in families:
            return families[base]
    return Family(metric, MetricType.UNKNOWN, "")


def _windows(t_ms: Times) -> list[tuple[int, int, int]]:
    """(window, begin, end) of each window that the times, increasing, fall into."""
    starts = t_ms - t_ms % WINDOW_MS
    edges = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1)).tolist()
    return [(int(starts[b]), b, e) for b, e in zip(edges, [*edges[1:], len(t_ms)], strict=True)]
