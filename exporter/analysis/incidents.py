"""From odd measures to incidents: related ones at once, or one that stays odd.

One odd measure for a moment is not news: of some hundred there is always one. Related are measures of one server, and
of servers between which trouble may travel along the service graph, if they became odd within minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.analysis.anomalies import RESTART, Anomaly
from exporter.analysis.graph import Graph
from exporter.analysis.measures import Kind
from exporter.analysis.root import kind_of, root

PERSISTS_S = 180.0  # so long makes one measure an incident
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


class _Group:
    """Related anomalies: for each server and each role the last onset, added in the order of time."""

    def __init__(self) -> None:
        self.anomalies: list[Anomaly] = []
        self._servers: dict[str, float] = {}
        self._roles: dict[str, float] = {}

    def takes(self, anomaly: Anomaly, role: str, graph: Graph) -> bool:
        """Whether an anomaly became odd within minutes of one on its server, or where trouble travels to or from."""
        if abs(anomaly.since - self._servers.get(anomaly.server, -math.inf)) <= _TOGETHER_S:
            return True
        return any(
            abs(anomaly.since - since) <= _TOGETHER_S and graph.neighbours(role, other)
            for other, since in self._roles.items()
        )

    def add(self, anomaly: Anomaly, role: str) -> None:
        self.anomalies.append(anomaly)
        self._servers[anomaly.server] = self._roles[role] = anomaly.since

    def absorb(self, other: _Group) -> None:
        self.anomalies += other.anomalies
        for mine, more in ((self._servers, other._servers), (self._roles, other._roles)):
            for name, since in more.items():
                mine[name] = max(since, mine.get(name, since))


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
        groups = {id: self._group_of(incident) for id, incident in self._open.items()}
        homes = {server: id for id, incident in self._open.items() for server in incident.servers}
        for anomaly in sorted(anomalies, key=lambda anomaly: anomaly.since):
            home = homes.get(anomaly.server) or self._near(anomaly, groups)
            if home is None:
                alone.append(anomaly)
            else:
                joining.setdefault(home, []).append(anomaly)
        for id, odd in joining.items():
            self._open[id] = self._grown(self._open[id], t_s, odd)
        for group in self._groups(alone):
            if _is_news(t_s, group.anomalies):
                self._begin(t_s, group.anomalies)
        for incident in list(self._open.values()):
            if not 0 <= t_s - incident.last_odd < _QUIET_S:
                self._close(incident)

    def _near(self, anomaly: Anomaly, groups: Mapping[str, _Group]) -> str | None:
        """The open incident in whose neighbourhood, of servers and time, an anomaly is."""
        role = self._roles.get(anomaly.server, "")
        return next((id for id, group in groups.items() if group.takes(anomaly, role, self._graph)), None)

    def _groups(self, alone: Sequence[Anomaly]) -> list[_Group]:
        """What is related, directly or through others, together. alone: in the order of time."""
        groups: list[_Group] = []
        for anomaly in alone:
            role = self._roles.get(anomaly.server, "")
            near = [group for group in groups if group.takes(anomaly, role, self._graph)]
            if not near:
                near = [_Group()]
                groups += near
            first, *rest = near
            for other in rest:
                first.absorb(other)
                groups.remove(other)
            first.add(anomaly, role)
        return groups

    def _group_of(self, incident: Incident) -> _Group:
        group = _Group()
        for anomaly in sorted(incident.evidence, key=lambda anomaly: anomaly.since):
            group.add(anomaly, self._roles.get(anomaly.server, ""))
        return group

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
        any(anomaly.certain or (t_s - anomaly.since >= PERSISTS_S and _alone(anomaly)) for anomaly in group)
        or len(servers) > len(set(servers))
        or len(servers) >= _SPREAD
    )


def _alone(anomaly: Anomaly) -> bool:
    """Whether a measure says something by itself: a change of load shows in several, and less work is no trouble."""
    return anomaly.direction == "up" and kind_of(anomaly) is not Kind.LOAD


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
