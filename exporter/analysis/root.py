"""Where an incident began: which server's trouble explains that of the others.

Trouble travels in two directions. What a server lacks (it is away, full, slow) is felt by all who wait for it; work
that a server asks for is felt by those it waits for. A fault mostly hits one server, its consequences hit every server
of a role: so one that is odd among its peers is rather a cause. And a cause comes first, but measures show an onset
sooner or later by their noise, so a few ticks tell nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from exporter.analysis.anomalies import Anomaly
from exporter.analysis.graph import Graph
from exporter.analysis.measures import MEASURES, Kind

_TICK_S = 15.0
_TOGETHER = 2  # ticks
_LATEST = 4.0  # what coming late can cost: an older oddity may have had nothing to do with it
_CAUSE = {Kind.STATE: 8.0, Kind.RESOURCE: 3.0, Kind.LOAD: 1.0, Kind.SLOWNESS: 0.0}
_LOCAL = 4.0  # odd among its peers
_WAITED_FOR, _ASKED = 1.5, 1.0  # for each role whose trouble it explains, in the one direction or the other
_MOST = 3.0  # together


def kind_of(anomaly: Anomaly) -> Kind:
    """States are no measures: they have no detector."""
    measure = MEASURES.get(anomaly.metric)
    return measure.kind if measure else Kind.STATE


def root(anomalies: Iterable[Anomaly], graph: Graph, roles: Mapping[str, str]) -> Anomaly:
    """The one among these that most likely began it. roles: of every server. Raises ValueError if there are none."""
    by_server: dict[str, list[Anomaly]] = {}
    for anomaly in anomalies:
        by_server.setdefault(anomaly.server, []).append(anomaly)
    onset = {server: min(anomaly.since for anomaly in odd) for server, odd in by_server.items()}
    first = min(onset.values())
    alike = Counter((roles.get(odd.server, ""), odd.metric) for of in by_server.values() for odd in of)
    sizes = Counter(roles.values())
    explained = _Explained({roles.get(server, "") for server in by_server}, graph)

    def likely(server: str) -> tuple[float, float, str]:
        odd, role = by_server[server], roles.get(server, "")
        late = max(0.0, (onset[server] - first) / _TICK_S - _TOGETHER)
        points = max(_CAUSE[kind_of(anomaly)] for anomaly in odd) - min(late, _LATEST)
        most_alike = max(alike[role, anomaly.metric] for anomaly in odd)
        points += _LOCAL * (2 <= sizes[role] >= 2 * most_alike)
        points += min(_MOST, explained.by(role, _asks(odd)))
        return points, sum(anomaly.score for anomaly in odd), server

    return max(by_server[max(by_server, key=likely)], key=lambda odd: (_CAUSE[kind_of(odd)], -odd.since, odd.score))


def _asks(odd: Iterable[Anomaly]) -> bool:
    """Whether a server asks more of others than it used to."""
    return any(kind_of(one) in (Kind.RESOURCE, Kind.LOAD) and one.direction == "up" for one in odd)


class _Explained:
    """Points for the roles, of those in an incident, whose trouble that of a role can have brought about."""

    def __init__(self, odd: set[str], graph: Graph) -> None:
        self._odd, self._graph = odd, graph
        self._known: dict[tuple[str, bool], float] = {}

    def by(self, role: str, asks: bool) -> float:
        """Of a role; `asks`: whether its server asks more of others."""
        if (role, asks) not in self._known:
            others = self._odd - {role}
            waiting = sum(self._graph.waits_for(other, role) for other in others)
            asked = sum(asks and self._graph.waits_for(role, other) for other in others)
            self._known[role, asks] = _WAITED_FOR * waiting + _ASKED * asked
        return self._known[role, asks]
