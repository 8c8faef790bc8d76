"""Watches the fleet tick by tick: facts, odd measures, incidents, forecasts; and says it as one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.analysis import report
from exporter.analysis.anomalies import Anomaly, Watch
from exporter.analysis.facts import Facts
from exporter.analysis.forecast import DISK_S, MEMORY_S, Filling
from exporter.analysis.graph import Graph
from exporter.analysis.incidents import Incident, Incidents
from exporter.analysis.samples import Columns
from exporter.analysis.servers import DISK, MEMORY
from exporter.analysis.status import Fleet, Health
from exporter.model import Column, Snapshot

Report = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AnalysisStats:
    """`series` are watched, `unwatched` are beyond the limit; `samples` were looked at since the start."""

    series: int
    unwatched: int
    anomalies: int
    incidents: int
    samples: int


class Analyst:
    """Give it every tick in the order of time (`observe`), ask it when a report is due (`run`).

    depends: by role the roles it waits for. `report`, `columns` and `stats` may be asked from other threads.
    """

    def __init__(self, depends: Mapping[str, Sequence[str]] | None = None) -> None:
        self._watch = Watch()
        self._facts = Facts()
        self._incidents = Incidents(Graph(depends))
        self._filling = {MEMORY: Filling(MEMORY_S), DISK: Filling(DISK_S)}
        self._seen_ms: int | None = None
        self._odd: tuple[Anomaly, ...] = ()
        self._health: Mapping[str, int] = {}
        self._report: Report | None = None
        self._made = Columns()
        self._columns: tuple[Column, ...] = ()

    def stats(self) -> AnalysisStats:
        """How much it does."""
        watch = self._watch
        return AnalysisStats(len(watch), watch.unwatched, len(self._odd), len(self._incidents.open()), watch.samples)

    def report(self) -> Report | None:
        """The latest report, None before the first run."""
        return self._report

    def columns(self) -> tuple[Column, ...]:
        """Scores, health and incidents after the latest tick, as series."""
        return self._columns

    def incidents(self) -> Sequence[Incident]:
        """Those that go on, the latest first."""
        return self._incidents.open()

    def observe(self, snapshot: Snapshot, fleet: Fleet) -> None:
        """One tick; one that was seen already is passed over."""
        if snapshot.t_ms == self._seen_ms:
            return
        self._seen_ms, t_s = snapshot.t_ms, snapshot.t_ms / 1000
        self._watch.observe(t_s, fleet.readings())
        self._odd = _once([*self._facts.of(fleet), *self._watch.anomalies(t_s)])
        self._incidents.observe(t_s, self._odd, {status.reading.id: status.reading.role for status in fleet.servers})
        for column in snapshot.columns:
            if filling := self._filling.get(column.index.metric):
                filling.observe(t_s, column.index, column.values)
        self._health = health_scores(fleet, self._odd)
        self._columns = self._made.of(
            self._watch.scores(),
            self._health,
            [(incident.root.server, incident.root.metric) for incident in self._incidents.open()],
        )

    def run(self, snapshot: Snapshot, fleet: Fleet) -> Report:
        """The report of this tick, JSON-able; docs/analysis.md describes it."""
        self.observe(snapshot, fleet)
        forecasts = [found for filling in self._filling.values() for found in filling.forecasts()]
        self._report = report.build(
            snapshot.t_ms / 1000,
            fleet,
            self._odd,
            self._health,
            self._incidents,
            sorted(forecasts, key=lambda forecast: forecast.seconds_to_full),
            (len(self._watch), self._watch.unwatched),
        )
        return self._report


def _once(anomalies: Sequence[Anomaly]) -> tuple[Anomaly, ...]:
    """Each measure once: what is both a fact and odd is certain, since it was first seen."""
    found: dict[tuple[str, str], Anomaly] = {}
    for anomaly in anomalies:
        found.setdefault((anomaly.server, anomaly.metric), anomaly)
    return tuple(found.values())


_WELL = {Health.HEALTHY: 100, Health.WARNING: 70, Health.CRITICAL: 30, Health.DOWN: 0}
_COSTS = 0.25  # the oddest measure; further ones less and less


def health_scores(fleet: Fleet, odd: Sequence[Anomaly]) -> Mapping[str, int]:
    """How well each server is, 0 (down) to 100: its state, less what is odd about it."""
    scores: dict[str, list[float]] = {}
    for anomaly in odd:
        scores.setdefault(anomaly.server, []).append(anomaly.score)
    return {
        status.reading.id: round(_WELL[status.health] * (1 - _cost(scores.get(status.reading.id, ()))))
        for status in fleet.servers
    }


def _cost(scores: Sequence[float]) -> float:
    ordered = sorted(scores, reverse=True)
    return sum(_COSTS * score * 0.5**place for place, score in enumerate(ordered))
