"""A simulated fleet under analysis, in accelerated time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.analysis.analyst import Analyst
from exporter.analysis.incidents import Incident as Analysed
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incident import Incident
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator
from exporter.web.live import Live

SERVERS = 20
INTERVAL_MS = 15_000
_EPOCH_MS = 1_748_736_000_000  # 2025-06-01, a Sunday
_DAY_MS = 86_400_000


class World:
    """A fleet of one seed, and an analyst that has watched it without failures up to `t_ms`.

    Each seed begins on another day of the week and at another hour.
    """

    def __init__(self, seed: int, warm_up_ms: int) -> None:
        self.seed = seed
        self.roles = shipped_roles()
        self.fleet = make_fleet(SERVERS, seed=seed, environment="test", roles=self.roles)
        self._live = Live()
        self._analyst = Analyst({name: role.depends for name, role in self.roles.roles.items()})
        start_ms = _EPOCH_MS + seed % 7 * _DAY_MS + seed * 5 % 24 * 3_600_000
        self.t_ms = start_ms + warm_up_ms
        for _ in self.watch(start_ms, self.t_ms):
            pass

    def copy(self) -> World:
        """The same world, from here on by itself."""
        twin = copy.copy(self)
        twin._live, twin._analyst = copy.deepcopy((self._live, self._analyst))
        return twin

    def log(self) -> IncidentLog:
        """Where failures of this fleet are planned."""
        return IncidentLog(self.fleet, self.roles, shipped_scenarios(), interval_ms=INTERVAL_MS)

    def watch(
        self, start_ms: int, end_ms: int, log: IncidentLog | None = None
    ) -> Iterator[tuple[float, list[Analysed]]]:
        """Each tick's time in seconds with the incidents that the analysis sees then."""
        simulator = Simulator(self.fleet, seed=self.seed, interval_ms=INTERVAL_MS, incidents=log, roles=self.roles)
        for snapshot in simulator.ticks(start_ms, end_ms):
            self._live.publish(snapshot)
            self._analyst.observe(snapshot, self._live.fleet())
            yield snapshot.t_ms / 1000, list(self._analyst.incidents())


def inject(
    log: IncidentLog, scenario: str, intensity: float, now_ms: int, id: str
) -> tuple[Incident, Mapping[str, Any]]:
    """One failure and its truth."""
    incident = log.inject(scenario, now_ms=now_ms, intensity=intensity, id=id)
    return incident, log.record(incident)
