"""What needs no detector: a server that says nothing, a service that has stopped, a threshold passed for a while."""

from __future__ import annotations

import math
from collections.abc import Iterator

from exporter.analysis.anomalies import RESTART, Anomaly
from exporter.analysis.status import Fleet, Health, ServerStatus

_PASSED_S = 30.0  # beyond a critical threshold
_TOLD_S = 300.0  # after a restart
_CLOCKS_DIFFER_S = 30.0  # a boot time that moves by less has not


class Facts:
    """Give it every tick's fleet. What was so when it began to look is how things are, not news."""

    def __init__(self) -> None:
        self._first_s: dict[str, float] = {}
        self._booted: dict[str, float] = {}
        self._restarted: dict[str, float] = {}

    def of(self, fleet: Fleet) -> Iterator[Anomaly]:
        """Each fact as an anomaly, certain."""
        t_s = fleet.t_ms / 1000
        for status in fleet.servers:
            if status.health is Health.DOWN:
                yield Anomaly(status.reading.id, "up", 1.0, 0.0, (1.0, 1.0), status.since_ms / 1000, certain=True)
            else:
                first = self._first_s.setdefault(status.reading.id, t_s)
                yield from self._of_server(t_s, first, status)

    def _of_server(self, t_s: float, first_s: float, status: ServerStatus) -> Iterator[Anomaly]:
        reading = status.reading
        before = self._booted.setdefault(reading.id, reading.booted_s)
        if reading.booted_s > before + _CLOCKS_DIFFER_S:
            self._restarted[reading.id] = t_s
        if 0 <= t_s - self._restarted.get(reading.id, -math.inf) < _TOLD_S:
            began = self._restarted[reading.id]
            yield Anomaly(reading.id, RESTART, 1.0, reading.booted_s, (before, before), began)
        if reading.booted_s == reading.booted_s:
            self._booted[reading.id] = reading.booted_s
        for trouble in status.troubles:
            since = trouble.since_ms / 1000
            if trouble.level is not Health.CRITICAL or since <= first_s:
                continue
            if trouble.what.startswith("service "):
                yield Anomaly(reading.id, "service", 1.0, 0.0, (1.0, 1.0), since, certain=True)
            elif t_s - since >= _PASSED_S:
                yield Anomaly(reading.id, trouble.what, 1.0, trouble.value, (0.0, trouble.edge), since, certain=True)
