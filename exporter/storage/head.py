"""The newest samples: each metric's live window, and imported samples on their way to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import METRIC_NAME, Family, Labels, MetricType, SeriesIndex, SeriesSet, Snapshot
from exporter.storage import segment as segments
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import STALE
from exporter.storage.groups import imported_entry
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import IMPORTED, WINDOW_MS, window_of
from exporter.storage.live import Composition, LiveMetric
from exporter.storage.segment import Segment
from exporter.storage.store import Log
from exporter.storage.threshold import DeadBand

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

Grown = Callable[[GrowingLog, Iterable[Segment]], None]
"""Told of each new log, with the segments that its frames name."""


class Head:
    """Encodes what comes in. Not thread-safe: its owner locks."""

    def __init__(self, run: str, interval_ms: int, dead_band: DeadBand, grown: Grown) -> None:
        self._run = run
        self._interval_ms = interval_ms
        self._dead_band = dead_band
        self._grown = grown
        self._live: dict[str, LiveMetric] = {}
        self._compositions: dict[str, Composition] = {}
        self._before: dict[str, SeriesIndex] = {}
        self._imported: dict[tuple[str, int], GrowingLog] = {}
        self._imports = 0

    def continue_after(self, snapshot: Snapshot) -> None:
        """What an earlier run kept last: series of it that do not come again get a stale marker."""
        for column in snapshot.columns:
            if column.index.metric not in self._live:
                self._before[column.index.metric] = column.index

    def append(self, snapshot: Snapshot) -> tuple[int, int]:
        """Encode one tick, later than all before. Returns (samples, bytes of frames)."""
        written = samples = 0
        for column in snapshot.columns:
            index = column.index
            live = self._live.get(index.metric)
            if live is None or not live.accepts(index, snapshot.t_ms):
                live = self._opened(index, snapshot.t_ms, live)
            exact = live.opens_group
            written += live.write(snapshot.t_ms, self._dead_band.kept(index, column.values, exact=exact))
            samples += len(column.values)
        here = {column.index.metric for column in snapshot.columns}
        for metric in [metric for metric in self._live if metric not in here]:
            written += self._absent(metric, snapshot.t_ms)
        self._mark_stale(snapshot)
        return samples, written

    def _opened(self, index: SeriesIndex, t_ms: int, before: LiveMetric | None) -> LiveMetric:
        """A new log for a metric; what does not go on in it gets its marker."""
        if before is not None:
            gone = before.vanished(index)
            self._import_markers(index.family, [before.opened_with.labels(slot) for slot in gone], t_ms)
            before.close()
        composition = Composition.of(index, self._compositions.get(index.metric))
        live = LiveMetric(index, composition, t_ms, self._interval_ms, self._run)
        self._compositions[index.metric] = composition
        self._live[index.metric] = live
        for log in live.logs:
            self._grown(log, composition.segments)
        return live

    def _absent(self, metric: str, t_ms: int) -> int:
        live = self._live[metric]
        if window_of(t_ms) == live.window_ms and live.present.any():
            return live.write_absent(t_ms)
        gone = [live.opened_with.labels(slot) for slot in live.vanished(None)]
        self._import_markers(live.index.family, gone, t_ms)
        live.close()
        del self._live[metric]
        return 0

    def _mark_stale(self, snapshot: Snapshot) -> None:
        """Markers for series of the run before that are not in the first tick of this one."""
        here = {column.index.metric: column.index for column in snapshot.columns}
        for metric, index in self._before.items():
            now = here.get(metric)
            rows = {now.labels(row) for row in range(len(now.rows))} if now else set()
            gone = [labels for row in range(len(index.rows)) if (labels := index.labels(row)) not in rows]
            self._import_markers(index.family, gone, snapshot.t_ms)
        self._before.clear()

    def _import_markers(self, family: Family, labels: Sequence[Labels], t_ms: int) -> None:
        if labels:
            axis = np.array([t_ms], np.int64)
            self.ingest([SeriesSet(labels, axis, np.repeat(STALE[None], len(labels), axis=0))], {family.name: family})

    def ingest(self, sets: Sequence[SeriesSet], families: Mapping[str, Family]) -> int:
        """Take in samples from elsewhere, of any time. Returns how many."""
        return sum(self._ingest(each, metric, rows, families) for each in sets for metric, rows in _by_metric(each))

    def _ingest(self, each: SeriesSet, metric: str, rows: list[int], families: Mapping[str, Family]) -> int:
        index = segments.index_of(_family_of(metric, families), [each.labels[row] for row in rows])
        segment, data = segments.encode(index)
        values = np.asarray(each.values[rows], np.float64)
        present = None if each.present is None else each.present[rows]
        count = 0
        for window, begin, end in _windows(each.t_ms):
            cut = slice(begin, end)
            there = None if present is None else present[:, cut]
            count += self._import(window, segment, data, each.t_ms[cut], values[:, cut], there)
        return count

    def _import(
        self, window: int, segment: Segment, data: bytes, t_ms: Times, values: Samples, present: Mask | None
    ) -> int:
        metric = segment.index.metric
        growing = self._imported.get((metric, window))
        if growing is None:
            self._imports += 1
            growing = GrowingLog(Log(IMPORTED, metric, 0, window, f"{self._run}.{self._imports}"), {}, ())
            self._imported[metric, window] = growing
        growing.name_segment(segment.run(), data)
        self._grown(growing, (segment,))
        count = values.size if present is None else int(np.count_nonzero(present))
        block = Block((segment.run(),), t_ms, {VALUE: values}, present)
        growing.write(int(t_ms[0]), imported_entry(block), count, opens_group=True)
        return count

    def close_imported(self) -> None:
        """Imported logs end here, so that they can be sealed; what comes later begins new ones."""
        for growing in self._imported.values():
            growing.closed = True
        self._imported.clear()


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
