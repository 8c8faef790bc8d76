"""What an incident does: which effect on which server, how much later, how strongly at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.duration import parse_duration
from exporter.model import Server
from exporter.simulation.cells import cells
from exporter.simulation.effects import Effect, Kind
from exporter.simulation.faults import FAULTS
from exporter.simulation.incident import Incident
from exporter.simulation.noise import Floats, Indices
from exporter.simulation.roles import Roles
from exporter.simulation.scenarios import Scenario

_HOP_MS = 15_000  # what a failure takes from a server to those that depend on it
_STRETCHED = ("peak", "sustained")


@dataclass(frozen=True, slots=True)
class Plan:
    """One effect of an incident on one server: what it is worth and how much later it comes.

    metric: the one that it is about, "" for all.
    """

    incident: Incident
    server: str
    kind: Kind
    value: float
    delay_ms: int
    at_ms: tuple[float, ...]
    level: tuple[float, ...]
    metric: str = ""

    @property
    def start_ms(self) -> int:
        return self.incident.start_ms + self.delay_ms

    @property
    def end_ms(self) -> int:
        late = 0 if self.incident.cleared_ms is not None else self.delay_ms
        return self.incident.end_ms + late

    def levels(self, t_ms: Indices) -> Floats:
        """How much of the effect there is at some times: 0 … 1."""
        level = np.interp(t_ms - self.start_ms, self.at_ms, self.level)
        inside = (t_ms >= self.start_ms) & (t_ms < self.end_ms)
        shown: Floats = np.where(inside, level, 0.0) * self.incident.intensity
        return shown

    def strength(self, t_ms: int) -> float:
        """Value times level at a time."""
        return self.value * float(self.levels(np.array([t_ms], dtype=np.int64))[0])


def envelope(scenario: Scenario, duration_ms: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The level over the time of an incident, as points of a line: ms since its start, and level.

    A longer or shorter incident has a longer or shorter peak; only where that is not enough, all is pressed together.
    """
    lengths = [float(phase.duration_ms) for phase in scenario.phases]
    free = [number for number, phase in enumerate(scenario.phases) if phase.name in _STRETCHED and lengths[number] > 0]
    room = sum(lengths[number] for number in free)
    wanted = duration_ms - (sum(lengths) - room)
    if free and wanted >= 0:
        lengths = [length * wanted / room if number in free else length for number, length in enumerate(lengths)]
    else:
        lengths = [length * duration_ms / sum(lengths) for length in lengths]
    at = [0.0, *np.cumsum(lengths).tolist()]
    return tuple(at), (0.0, *(phase.level for phase in scenario.phases))


class Planner:
    """Plans incidents on a fleet: targets, the consequences that a scenario names, and the service graph."""

    def __init__(self, fleet: Mapping[str, Server], roles: Roles, scenarios: Mapping[str, Scenario]) -> None:
        self._fleet, self._roles, self._scenarios = fleet, roles, scenarios
        cell = cells(roles)
        self._of_role: dict[tuple[str, str], list[str]] = {}  # by cell and role
        self._cell = {server.name: cell(server) for server in fleet.values()}
        delays = [parse_duration(of.after) for scenario in scenarios.values() for of in scenario.propagate.effects]
        self.latest_ms = max(
            [*delays, *(_HOP_MS * scenario.propagate.depth for scenario in scenarios.values())], default=0
        )
        """How much later than an incident its last effect begins, at most."""
        for server in fleet.values():
            self._of_role.setdefault((self._cell[server.name], server.role), []).append(server.name)

    def possible(self, incident: Incident) -> bool:
        """Whether there is such a scenario, and any of its targets."""
        return incident.scenario in self._scenarios and any(name in self._fleet for name in incident.targets)

    def neighbours(self, server: str, role: str) -> Sequence[str]:
        """The servers of a role in the cell of a server."""
        return self._of_role.get((self._cell[server], role), ())

    def plans(self, incident: Incident) -> tuple[Plan, ...]:
        """All effects of a possible incident, those on its targets first."""
        scenario = self._scenarios[incident.scenario]
        at_ms, level = envelope(scenario, incident.duration_ms)
        targets = [name for name in incident.targets if name in self._fleet]
        metric = str(scenario.root.params.get("metric", ""))
        found: list[Plan] = []

        def plan(server: str, effects: Mapping[Kind, float], delay_ms: int, metric: str = "") -> None:
            found.extend(
                Plan(incident, server, kind, value, delay_ms, at_ms, level, metric) for kind, value in effects.items()
            )

        for name in targets:
            plan(name, FAULTS[scenario.root.fault].values(scenario.root.params), 0, metric)
        for consequence in scenario.propagate.effects:
            for name in self._around(targets, consequence.role):
                plan(name, consequence.effects(), parse_duration(consequence.after))
        for name, hops in self._dependents(targets, scenario.propagate.depth):
            gain = 0.5 ** (hops - 1)
            plan(name, {Kind.LATENCY_TIMES: 1.0 + 1.5 * gain, Kind.ERRORS: 0.04 * gain}, hops * _HOP_MS)
        return tuple(found)

    def _around(self, targets: Sequence[str], role: str) -> Iterable[str]:
        """The servers of a role in the cells of the targets that are no targets themselves."""
        near = dict.fromkeys(self._cell[name] for name in targets)
        return [name for cell in near for name in self._of_role.get((cell, role), ()) if name not in targets]

    def _dependents(self, targets: Sequence[str], depth: int) -> list[tuple[str, int]]:
        """Servers whose role depends on that of a target, with how many steps away they are."""
        reached = {self._fleet[name].role for name in targets}
        edge, found = set(reached), []
        for hops in range(1, depth + 1):
            edge = {name for name, role in self._roles.roles.items() if edge & set(role.depends)} - reached
            reached |= edge
            found += [
                (name, hops) for role in self._roles.roles if role in edge for name in self._around(targets, role)
            ]
        return found


class Timeline:
    """Plans that can be asked for by time, in the order in which they are applied."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = tuple(plans)
        self._start_ms = np.array([plan.start_ms for plan in plans], dtype=np.int64)
        self._end_ms = np.array([plan.end_ms for plan in plans], dtype=np.int64)

    def during(self, first_ms: int, last_ms: int) -> list[Plan]:
        """Those that have begun by the last of these times and have not ended at the first."""
        chosen = np.flatnonzero((self._start_ms <= last_ms) & (self._end_ms > first_ms))
        return [self._plans[number] for number in chosen.tolist()]


def effects_on(plans: Sequence[Plan], names: Sequence[str]) -> Callable[[Indices], list[Effect]]:
    """What these plans do to the named servers, by row, for any ticks."""
    rows = {name: row for row, name in enumerate(names)}
    mine = Timeline([plan for plan in plans if plan.server in rows])

    def effects(ends_ms: Indices) -> list[Effect]:
        return [
            Effect(rows[plan.server], plan.kind, plan.value, plan.levels(ends_ms))
            for plan in mine.during(int(ends_ms[0]), int(ends_ms[-1]))
        ]

    return effects
