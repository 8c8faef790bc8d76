"""From odd series to incidents: two related series at once, or one that stays odd.

One odd series for a moment is not news: at 240 series every one of them is odd now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

PERSISTS_S = 300.0  # so long makes one series an incident
_QUIET_S = 180.0  # without an odd series ends one
_KEPT = 50
CERTAIN = frozenset({"up", "restart"})  # facts, not guesses: one of them is enough


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One measure of one server that is odd now. `since` is Unix seconds; `expected` is low and high."""

    server: str
    metric: str
    score: float
    value: float
    expected: tuple[float, float]
    since: float

    @property
    def direction(self) -> str:
        """Whether it is above or below what was expected."""
        return "up" if self.value >= sum(self.expected) / 2 else "down"


@dataclass(frozen=True, slots=True)
class Incident:
    """What goes wrong on one server. Times are Unix seconds; `ended` is None while it goes on.

    root: the measure that was odd first. evidence: the odd measures, the oddest values seen, in the order of time.
    """

    id: str
    server: str
    started: float
    last_odd: float
    ended: float | None
    evidence: tuple[Anomaly, ...]

    @property
    def root(self) -> Anomaly:
        return self.evidence[0]

    @property
    def score(self) -> float:
        return max(anomaly.score for anomaly in self.evidence)

    @property
    def confidence(self) -> float:
        """The more measures agree, the surer: each further one halves the doubt."""
        return 1 - (1 - 0.8 * self.score) * 0.5 ** (len(self.evidence) - 1)


class Incidents:
    """Follows incidents from tick to tick, one at a time per server."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}
        self._closed: list[Incident] = []

    def open(self) -> list[Incident]:
        """Those that go on, the latest first."""
        return sorted(self._open.values(), key=lambda incident: -incident.started)

    def recent(self) -> list[Incident]:
        """The last that have ended, the latest first."""
        return self._closed[::-1]

    def observe(self, t_s: float, anomalies: Iterable[Anomaly]) -> None:
        """One tick's odd series."""
        by_server: dict[str, list[Anomaly]] = {}
        for anomaly in anomalies:
            by_server.setdefault(anomaly.server, []).append(anomaly)
        for server, odd in by_server.items():
            self._of_server(t_s, server, odd)
        for server, incident in list(self._open.items()):
            if t_s - incident.last_odd >= _QUIET_S:
                self._close(server, replace(incident, ended=incident.last_odd))

    def _of_server(self, t_s: float, server: str, odd: list[Anomaly]) -> None:
        incident = self._open.get(server)
        if incident is not None:
            self._open[server] = replace(incident, last_odd=t_s, evidence=_merged(incident.evidence, odd))
        elif len(odd) >= 2 or odd[0].metric in CERTAIN or t_s - odd[0].since >= PERSISTS_S:
            evidence = _merged((), odd)
            started = evidence[0].since
            self._open[server] = Incident(f"{server}-{started:.0f}", server, started, t_s, None, evidence)

    def _close(self, server: str, incident: Incident) -> None:
        del self._open[server]
        self._closed = [*self._closed, incident][-_KEPT:]


def _merged(known: tuple[Anomaly, ...], odd: list[Anomaly]) -> tuple[Anomaly, ...]:
    """Each measure once, with its highest score, the earliest first."""
    best = {anomaly.metric: anomaly for anomaly in known}
    for anomaly in odd:
        before = best.get(anomaly.metric)
        since = min(anomaly.since, before.since) if before else anomaly.since
        keep = before if before and before.score >= anomaly.score else anomaly
        best[anomaly.metric] = replace(keep, since=since)
    return tuple(sorted(best.values(), key=lambda anomaly: (anomaly.since, -anomaly.score)))
