"""From odd measures to incidents: related ones at once, or one that stays odd.

One odd measure for a moment is not news: of some hundred there is always one. Related are measures of one server, and
of servers between which trouble may travel along the service graph, if they became odd within minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.analysis.anomalies import RESTART, Anomaly
from exporter.analysis.graph import Graph
from exporter.analysis.root import root

PERSISTS_S = 120.0  # so long makes one measure an incident
_TOGETHER_S = 150.0  # between the onsets of what belongs together
_SPREAD = 3  # servers, each with one odd measure, make an incident
_QUIET_S = 180.0  # without an odd measure ends one
_KEPT = 50

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Incident:
    """What goes wrong, on one server or along the graph. Times are Unix seconds; `ended` is None while it goes on.

    root: where it most likely began. evidence: every odd measure with its highest score, the earliest first.
    """

    id: str
    started: float
    last_odd: float
    ended: float | None
    root: Anomaly
    evidence: tuple[Anomaly, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """The root's first, then in the order of time."""
        return tuple(dict.fromkeys((self.root.server, *(anomaly.server for anomaly in self.evidence))))

    @property
    def score(self) -> float:
        return max(anomaly.score for anomaly in self.evidence)

    @property
    def confidence(self) -> float:
        """Facts are nearly sure; the more measures agree, the surer: each further one halves the doubt."""
        if any(anomaly.certain for anomaly in self.evidence):
            return 0.99
        return min(0.99, 1 - (1 - 0.7 * self.score) * 0.5 ** (len(self.evidence) - 1))


class Incidents:
    """Follows incidents from tick to tick."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._roles: Mapping[str, str] = {}
        self._open: dict[str, Incident] = {}
        self._closed: list[Incident] = []

    def open(self) -> list[Incident]:
        """Those that go on, the latest first."""
        return sorted(self._open.values(), key=lambda incident: -incident.started)

    def recent(self) -> list[Incident]:
        """The last that have ended, the latest first."""
        return self._closed[::-1]

    def observe(self, t_s: float, anomalies: Iterable[Anomaly], roles: Mapping[str, str]) -> None:
        """One tick's odd measures. roles: by server."""
        self._roles = roles
        joining: dict[str, list[Anomaly]] = {}
        alone: list[Anomaly] = []
        for anomaly in sorted(anomalies, key=lambda anomaly: anomaly.since):
            incident = self._incident_of(anomaly)
            if incident is None:
                alone.append(anomaly)
            else:
                joining.setdefault(incident.id, []).append(anomaly)
        for id, odd in joining.items():
            self._open[id] = self._grown(self._open[id], t_s, odd)
        for group in self._groups(alone):
            if _is_news(t_s, group):
                self._begin(t_s, group)
        for incident in list(self._open.values()):
            if not 0 <= t_s - incident.last_odd < _QUIET_S:
                self._close(incident)

    def _incident_of(self, anomaly: Anomaly) -> Incident | None:
        """The open incident that an anomaly belongs to: that of its measure, of its server, of its neighbourhood."""
        for incident in self._open.values():
            if any(known.server == anomaly.server for known in incident.evidence):
                return incident
        for incident in self._open.values():
            if any(self._related(known, anomaly) for known in incident.evidence):
                return incident
        return None

    def _related(self, one: Anomaly, other: Anomaly) -> bool:
        if abs(one.since - other.since) > _TOGETHER_S:
            return False
        return one.server == other.server or self._graph.neighbours(
            self._roles.get(one.server, ""), self._roles.get(other.server, "")
        )

    def _groups(self, alone: Sequence[Anomaly]) -> list[list[Anomaly]]:
        """What is related, directly or through others, together."""
        groups: list[list[Anomaly]] = []
        for anomaly in alone:
            near = [group for group in groups if any(self._related(known, anomaly) for known in group)]
            merged = [anomaly, *(known for group in near for known in group)]
            groups = [group for group in groups if group not in near] + [merged]
        return groups

    def _begin(self, t_s: float, odd: Sequence[Anomaly]) -> None:
        evidence = _merged((), odd)
        began = root(evidence, self._graph, self._roles)
        started = evidence[0].since
        incident = Incident(f"{began.server}-{started:.0f}", started, t_s, None, began, evidence)
        self._open[incident.id] = incident

    def _grown(self, incident: Incident, t_s: float, odd: Sequence[Anomaly]) -> Incident:
        evidence = _merged(incident.evidence, odd)
        began = root(evidence, self._graph, self._roles)
        return replace(incident, last_odd=t_s, evidence=evidence, root=began)

    def _close(self, incident: Incident) -> None:
        del self._open[incident.id]
        self._closed = [*self._closed, replace(incident, ended=incident.last_odd)][-_KEPT:]


def _is_news(t_s: float, group: Sequence[Anomaly]) -> bool:
    group = [anomaly for anomaly in group if anomaly.metric != RESTART]  # by itself it is maintenance
    servers = [anomaly.server for anomaly in group]
    return (
        any(anomaly.certain or t_s - anomaly.since >= PERSISTS_S for anomaly in group)
        or len(servers) > len(set(servers))
        or len(servers) >= _SPREAD
    )


def _merged(known: tuple[Anomaly, ...], odd: Sequence[Anomaly]) -> tuple[Anomaly, ...]:
    """Each measure once, at its furthest from what was expected, since it first was; the earliest first."""
    furthest = {(anomaly.server, anomaly.metric): anomaly for anomaly in known}
    for anomaly in odd:
        before = furthest.get((anomaly.server, anomaly.metric), anomaly)
        keep = before if before.beyond > anomaly.beyond else anomaly
        furthest[anomaly.server, anomaly.metric] = replace(
            keep,
            since=min(anomaly.since, before.since),
            score=max(anomaly.score, before.score),
            certain=anomaly.certain or before.certain,
        )
    return tuple(sorted(furthest.values(), key=lambda anomaly: (anomaly.since, -anomaly.score)))
