"""Where an incident began: which server's trouble explains that of the others.

Trouble travels in two directions. What a server lacks (it is away, full, slow) is felt by all who wait for it; work
that a server asks for is felt by those it waits for. A fault mostly hits one server, its consequences hit every server
of a role: so one that is odd among its peers is rather a cause. And a cause comes first, but measures show an onset
sooner or later by their noise, so a few ticks tell nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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
    sizes = Counter(roles.values())

    def likely(server: str) -> tuple[float, float, str]:
        odd = by_server[server]
        late = max(0.0, (onset[server] - first) / _TICK_S - _TOGETHER)
        points = max(_CAUSE[kind_of(anomaly)] for anomaly in odd) - min(late, _LATEST)
        points += _LOCAL * _among_peers(server, by_server, roles, sizes)
        points += min(_MOST, _explained(server, by_server, graph, roles))
        return points, sum(anomaly.score for anomaly in odd), server

    return max(by_server[max(by_server, key=likely)], key=lambda odd: (_CAUSE[kind_of(odd)], -odd.since, odd.score))


def _among_peers(
    server: str, by_server: Mapping[str, Sequence[Anomaly]], roles: Mapping[str, str], sizes: Mapping[str, int]
) -> bool:
    """Whether most servers of the same role are well in what is odd here."""
    role, metrics = roles.get(server, ""), {anomaly.metric for anomaly in by_server[server]}
    alike = sum(
        roles.get(other, "") == role and not metrics.isdisjoint(anomaly.metric for anomaly in odd)
        for other, odd in by_server.items()
    )
    return sizes.get(role, 0) >= 2 and alike * 2 <= sizes[role]


def _explained(
    server: str, by_server: Mapping[str, Sequence[Anomaly]], graph: Graph, roles: Mapping[str, str]
) -> float:
    """Points for the roles of other servers whose trouble this one's can have brought about."""
    role = roles.get(server, "")
    asks = any(kind_of(odd) in (Kind.RESOURCE, Kind.LOAD) and odd.direction == "up" for odd in by_server[server])
    others = {roles.get(other, "") for other in by_server if other != server} - {role}
    waiting = sum(graph.waits_for(other, role) for other in others)
    return _WAITED_FOR * waiting + _ASKED * sum(asks and graph.waits_for(role, other) for other in others)
