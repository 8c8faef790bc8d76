"""Watches the fleet: a detector per measure of each server, incidents, forecasts; and says it as one report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.analysis import advice
from exporter.analysis.detector import Detector
from exporter.analysis.forecast import Filling, Forecast
from exporter.analysis.incidents import Anomaly, Incident, Incidents
from exporter.analysis.samples import Columns
from exporter.analysis.servers import DISK, Reading
from exporter.analysis.status import Fleet, Health
from exporter.model import Column, Snapshot

ODD = 0.5  # the score from which a measure is an anomaly
_MEASURES = ("cpu", "memory", "disk", "network_in", "network_out", "response", "requests")

_CLOCKS_DIFFER_S = 30.0  # a boot time that moves by less has not

Report = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AnalysisStats:
    """`series` are watched, `incidents` go on now, `samples` were looked at since the start."""

    series: int
    anomalies: int
    incidents: int
    samples: int


@dataclass(slots=True)
class _Watched:
    detector: Detector
    score: float = 0.0
    value: float = 0.0
    odd_since: float | None = None


class Analyst:
    """Give it every tick in the order of time (`observe`), ask it when a report is due (`run`)."""

    def __init__(self) -> None:
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._incidents = Incidents()
        self._filling = Filling()
        self._seen_ms = 0
        self._samples = 0
        self._booted: dict[str, float] = {}
        self._report: Report | None = None
        self._made = Columns()
        self._columns: tuple[Column, ...] = ()

    def stats(self) -> AnalysisStats:
        """How much it does."""
        odd = sum(watched.odd_since is not None for watched in self._watched.values())
        return AnalysisStats(len(self._watched), odd, len(self._incidents.open()), self._samples)

    def report(self) -> Report | None:
        """The latest report, None before the first run."""
        return self._report

    def scores(self) -> Mapping[tuple[str, str], float]:
        """The present score by server and measure."""
        return {key: watched.score for key, watched in self._watched.items()}

    def columns(self) -> tuple[Column, ...]:
        """Scores, health and incidents after the latest tick, as series."""
        return self._columns

    def observe(self, snapshot: Snapshot, fleet: Fleet) -> None:
        """One tick; one that was seen already is passed over."""
        if snapshot.t_ms <= self._seen_ms:
            return
        self._seen_ms = snapshot.t_ms
        t_s = snapshot.t_ms / 1000
        for reading in fleet.readings():
            for metric, value in _measures(reading):
                self._watch(t_s, reading.id, metric, value)
        self._incidents.observe(t_s, [*self._facts(t_s, fleet), *self._anomalies()])
        for column in snapshot.columns:
            if column.index.metric == DISK:
                self._filling.observe(t_s, column.index, column.values)
        self._columns = self._made.of(
            self.scores(),
            {status.reading.id: self._well(status.reading.id, status.health) for status in fleet.servers},
            [(incident.root.server, incident.root.metric) for incident in self._incidents.open()],
        )

    def _facts(self, t_s: float, fleet: Fleet) -> Iterator[Anomaly]:
        """Servers that have fallen silent, and those that have restarted since the tick before."""
        for status in fleet.servers:
            server, booted = status.reading.id, status.reading.booted_s
            if status.health is Health.DOWN:
                yield Anomaly(server, "up", 1.0, 0.0, (1.0, 1.0), status.since_ms / 1000)
                continue
            before = self._booted.get(server, booted)
            if booted > before + _CLOCKS_DIFFER_S:
                yield Anomaly(server, "restart", 1.0, booted, (before, before), t_s)
            self._booted[server] = booted

    def _watch(self, t_s: float, server: str, metric: str, value: float) -> None:
        key = (server, metric)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(Detector())
        watched.score, watched.value = watched.detector.update(t_s, value), value
        self._samples += 1
        if watched.score < ODD or not (watched.odd_since is not None or _matters(metric, value, watched.detector)):
            watched.odd_since = None
        elif watched.odd_since is None:
            watched.odd_since = t_s

    def _anomalies(self) -> Iterator[Anomaly]:
        for (server, metric), watched in self._watched.items():
            if watched.odd_since is not None:
                yield Anomaly(
                    server, metric, watched.score, watched.value, watched.detector.expected, watched.odd_since
                )

    def run(self, snapshot: Snapshot, fleet: Fleet) -> Report:
        """The report of this tick, JSON-able."""
        self.observe(snapshot, fleet)
        incidents = [_incident(incident) for incident in self._incidents.open()]
        self._report = {
            "generated": _rfc3339(snapshot.t_ms / 1000),
            "series_watched": len(self._watched),
            "servers": [self._server(status.reading.id, status.health, status.reason) for status in fleet.servers],
            "anomalies": [_anomaly(anomaly) for anomaly in self._anomalies()],
            "incidents": incidents,
            "recent_incidents": [_incident(incident) for incident in self._incidents.recent()[:10]],
            "forecasts": [_forecast(forecast) for forecast in self._filling.forecasts()],
        }
        return self._report

    def _server(self, server: str, health: Health, reason: str) -> Mapping[str, object]:
        return {
            "server": server,
            "status": health.value,
            "reason": reason,
            "anomaly_score": round(self._oddest(server), 3),
            "health_score": self._well(server, health),
        }

    def _oddest(self, server: str) -> float:
        known = (self._watched.get((server, metric)) for metric in _MEASURES)
        return max((watched.score for watched in known if watched), default=0.0)

    def _well(self, server: str, health: Health) -> int:
        return round(100 * _WELL[health] * (1 - 0.5 * self._oddest(server)))


_WELL = {Health.HEALTHY: 1.0, Health.WARNING: 0.7, Health.CRITICAL: 0.3, Health.DOWN: 0.0}


def _measures(reading: Reading) -> Iterator[tuple[str, float]]:
    """What is watched of a server; what it does not say is left out."""
    values = (
        reading.cpu,
        reading.memory,
        reading.disk,
        reading.network_in,
        reading.network_out,
        reading.response_s,
        reading.requests_per_s,
    )
    return ((metric, value) for metric, value in zip(_MEASURES, values, strict=True) if value == value)


# How far from what was expected a value must be to matter to anybody: in points, or as a part of the expected.
# Memory and disk that are given back are good news.
_POINTS = {"cpu": 5.0, "memory": 2.0, "disk": 0.5}
_PART = 0.25
_ONLY_UP = frozenset({"memory", "disk"})


def _matters(metric: str, value: float, detector: Detector) -> bool:
    middle = sum(detector.expected) / 2
    if metric in _ONLY_UP and value < middle:
        return False
    return abs(value - middle) >= _POINTS.get(metric, _PART * abs(middle))


def _anomaly(anomaly: Anomaly) -> dict[str, object]:
    return {
        "server": anomaly.server,
        "metric": anomaly.metric,
        "score": round(anomaly.score, 3),
        "value": round(anomaly.value, 3),
        "expected": [round(edge, 3) for edge in anomaly.expected],
        "direction": anomaly.direction,
        "since": _rfc3339(anomaly.since),
    }


def _incident(incident: Incident) -> dict[str, object]:
    root = incident.root
    return {
        "id": incident.id,
        "title": advice.title(incident.server, root.metric, root.direction),
        "servers": [incident.server],
        "started": _rfc3339(incident.started),
        "ended": None if incident.ended is None else _rfc3339(incident.ended),
        "score": round(incident.score, 3),
        "confidence": round(incident.confidence, 3),
        "root": {"server": root.server, "metric": root.metric},
        "evidence": [_anomaly(anomaly) for anomaly in incident.evidence],
        "recommendation": advice.recommendation(root.metric, root.direction),
    }


def _forecast(forecast: Forecast) -> dict[str, object]:
    return {
        "server": forecast.server,
        "metric": DISK,
        "mount": forecast.mount,
        "now": forecast.now,
        "per_hour": forecast.per_hour,
        "seconds_to_full": forecast.seconds_to_full,
        "confidence": forecast.fit,
        "recommendation": advice.disk_full(forecast.mount, forecast.seconds_to_full / 3600),
    }


def _rfc3339(t_s: float) -> str:
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
