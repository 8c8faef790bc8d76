"""The newest samples: each metric's live log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.model import Family, Labels, SeriesIndex, SeriesSet, Snapshot
from exporter.storage.frame import STALE
from exporter.storage.imports import Grown, Imports
from exporter.storage.layout import window_of
from exporter.storage.live import Composition, LiveMetric
from exporter.storage.threshold import DeadBand


class Head:
    """Encodes the fleet's ticks. `imports` takes the markers that a live log cannot hold; `grown` hears of new logs.

    Not thread-safe: its owner locks.
    """

    def __init__(self, run: str, interval_ms: int, dead_band: DeadBand, imports: Imports, grown: Grown) -> None:
        self._run = run
        self._interval_ms = interval_ms
        self._dead_band = dead_band
        self._grown = grown
        self._live: dict[str, LiveMetric] = {}
        self._compositions: dict[str, Composition] = {}
        self._before: dict[str, SeriesIndex] = {}
        self._imports = imports

    def continue_after(self, snapshot: Snapshot) -> None:
        """What was kept last and did not come by here: series of it that do not come again get a stale marker."""
        for live in self._live.values():
            live.close()
        self._live.clear()
        self._before = {column.index.metric: column.index for column in snapshot.columns}

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
            markers = SeriesSet(labels, axis, np.repeat(STALE[None], len(labels), axis=0))
            self._imports.ingest([markers], {family.name: family})
