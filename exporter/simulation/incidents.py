"""Incidents: scenarios that really happen, to whom and when. The log of them is the fleet's truth."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from exporter.duration import format_duration, parse_duration
from exporter.model import Server
from exporter.simulation.effects import Effect, Kind
from exporter.simulation.faults import FAULTS
from exporter.simulation.noise import Floats, Indices, key
from exporter.simulation.roles import Roles
from exporter.simulation.scenarios import Scenario

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LONGEST_MS = 90 * 86_400_000
_HOP_MS = 15_000  # what a failure takes from a server to those that depend on it
_STRETCHED = ("peak", "sustained")


class IncidentConflict(ValueError):
    """An id is taken by another incident."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One failure. Times are Unix ms; it lasts from `start_ms` up to but not at `end_ms`.

    Invariant: `cleared_ms`, when somebody ended it early, is never after start + duration.
    """

    id: str
    scenario: str
    targets: tuple[str, ...]
    start_ms: int
    duration_ms: int
    intensity: float = 1.0
    cleared_ms: int | None = None

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.duration_ms if self.cleared_ms is None else self.cleared_ms


@dataclass(frozen=True, slots=True)
class Plan:
    """One effect of an incident on one server: what it is worth and how much later it comes."""

    incident: Incident
    server: str
    kind: Kind
    value: float
    delay_ms: int
    at_ms: tuple[float, ...]
    level: tuple[float, ...]

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


class IncidentStore(Protocol):
    """Where incidents outlive the process."""

    def save_incident(self, record: Mapping[str, Any]) -> None:
        """Insert or replace by its `id`."""
        ...


class IncidentLog:
    """All incidents of a fleet. What it holds at a time is the truth about that time.

    `changed` counts the changes, so that what was computed before one can be dropped.
    """

    def __init__(
        self,
        fleet: Sequence[Server],
        roles: Roles,
        scenarios: Mapping[str, Scenario],
        *,
        interval_ms: int = 15_000,
        store: IncidentStore | None = None,
        incidents: Iterable[Incident] = (),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12],
    ) -> None:
        self._fleet = {server.name: server for server in fleet}
        self._roles, self._scenarios = roles, scenarios
        self._interval_ms, self._store, self._new_id = interval_ms, store, new_id
        self._incidents: dict[str, Incident] = {}
        self._plans: dict[str, tuple[Plan, ...]] = {}
        self.changed = 0
        for incident in incidents:
            self._keep(incident)

    def inject(
        self,
        scenario: str,
        targets: Sequence[str] = (),
        *,
        now_ms: int,
        duration: str | None = None,
        intensity: float = 1.0,
        id: str | None = None,
    ) -> Incident:
        """Let a scenario happen from the next tick on, on the targets or where the scenario says.

        The same id with the same scenario and targets answers with the incident there already is.
        Raises IncidentConflict, or ValueError naming what exists.
        """
        if scenario not in self._scenarios:
            raise ValueError(f"scenario {scenario!r}: must be one of {', '.join(self._scenarios)}")
        for name in targets:
            self._known(name)
        if not 0.0 < intensity <= 1.0:
            raise ValueError(f"intensity {intensity!r}: must be above 0 and at most 1")
        if id is not None and not _ID.fullmatch(id):
            raise ValueError(f"id {id!r}: must be up to 128 letters, digits and . _ : -")
        length = self._scenarios[scenario].duration_ms if duration is None else _duration_ms(duration)
        number = id or self._new_id()
        chosen = tuple(dict.fromkeys(targets)) or self._chosen(self._scenarios[scenario], number)
        start = (now_ms // self._interval_ms + 1) * self._interval_ms
        incident = Incident(number, scenario, chosen, start, length, intensity)
        if known := self._incidents.get(number):
            same = replace(incident, start_ms=known.start_ms, cleared_ms=known.cleared_ms)
            if same != known:
                raise IncidentConflict(f"id {number!r}: is that of another incident, of scenario {known.scenario}")
            return known
        self._save(incident)
        return incident

    def clear(self, id: str, *, now_ms: int) -> Incident:
        """End an incident at the next tick; one that is over stays as it was. Raises KeyError."""
        incident = self._incidents[id]
        moment = (now_ms // self._interval_ms + 1) * self._interval_ms
        if moment >= incident.end_ms:
            return incident
        cleared = replace(incident, cleared_ms=max(moment, incident.start_ms))
        self._save(cleared)
        return cleared

    def active(self, now_ms: int) -> list[Incident]:
        """Those that have not ended, also those that start at the next tick; oldest first."""
        return [incident for incident in self._ordered() if incident.end_ms > now_ms]

    def past(self, now_ms: int) -> list[Incident]:
        """Those that have ended, oldest first."""
        return [incident for incident in self._ordered() if incident.end_ms <= now_ms]

    def truth(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """What was simulated between two times, as JSON-ready records."""
        chosen = [
            incident for incident in self._ordered() if incident.start_ms <= end_ms and incident.end_ms > start_ms
        ]
        return [self.record(incident) for incident in chosen]

    def record(self, incident: Incident) -> dict[str, Any]:
        """One incident with its truth: peak, root, what it affects. Times are Unix seconds."""
        plans = self._plans[incident.id]
        scenario = self._scenarios[incident.scenario]
        peak = incident.start_ms + int(plans[0].at_ms[int(np.argmax(plans[0].level))])
        return {
            "id": incident.id,
            "scenario": incident.scenario,
            "targets": list(incident.targets),
            "start": incident.start_ms / 1000,
            "peak": min(peak, incident.end_ms) / 1000,
            "end": incident.end_ms / 1000,
            "duration": format_duration(incident.end_ms - incident.start_ms),
            "intensity": incident.intensity,
            "cleared": incident.cleared_ms is not None,
            "root": {"server": incident.targets[0], "metric": FAULTS[scenario.root.fault].metric},
            "affected": [
                {"server": server, "effects": sorted({plan.kind.value for plan in plans if plan.server == server})}
                for server in sorted({plan.server for plan in plans})
            ],
            "expect": {"alerts": list(scenario.expect.alerts)},
        }

    def available(self) -> list[dict[str, Any]]:
        """The scenarios one can inject, JSON-ready."""
        return [
            {
                "name": scenario.name,
                "description": scenario.description,
                "fault": scenario.root.fault,
                "role": scenario.root.role,
                "duration": format_duration(scenario.duration_ms),
                "expect": {"alerts": list(scenario.expect.alerts)},
            }
            for scenario in self._scenarios.values()
        ]

    def plans(self) -> list[Plan]:
        """Every effect of every incident, in the order in which they are applied."""
        return [plan for incident in self._ordered() for plan in self._plans[incident.id]]

    def _ordered(self) -> list[Incident]:
        return sorted(self._incidents.values(), key=lambda incident: (incident.start_ms, incident.id))

    def _known(self, name: str) -> Server:
        if name not in self._fleet:
            shown = ", ".join(list(self._fleet)[:20]) + (", …" if len(self._fleet) > 20 else "")
            raise ValueError(f"server {name!r}: must be one of {shown}")
        return self._fleet[name]

    def _save(self, incident: Incident) -> None:
        if self._store is not None:
            self._store.save_incident(to_row(incident))
        self._keep(incident)

    def _keep(self, incident: Incident) -> None:
        if incident.scenario in self._scenarios and all(name in self._fleet for name in incident.targets):
            self._incidents[incident.id] = incident
            self._plans[incident.id] = self._planned(incident)
            self.changed += 1

    def _chosen(self, scenario: Scenario, id: str) -> tuple[str, ...]:
        root = scenario.root
        fitting = [
            server.name
            for server in self._fleet.values()
            if (root.server in (None, server.name) and root.role in (None, server.role))
            and all(server.labels.get(name) == value for name, value in (root.label or {}).items())
        ]
        if not fitting:
            raise ValueError(f"scenario {scenario.name!r}: no server of the fleet is a root of it; name a server")
        first = key(0, "target", id) % len(fitting)
        turned = fitting[first:] + fitting[:first]
        count = 1 if root.percent is None else max(1, round(len(fitting) * root.percent / 100.0))
        return tuple(turned[:count])

    def _planned(self, incident: Incident) -> tuple[Plan, ...]:
        scenario = self._scenarios[incident.scenario]
        at_ms, level = envelope(scenario, incident.duration_ms)
        plans: list[Plan] = []

        def plan(server: str, effects: Mapping[Kind, float], delay_ms: int) -> None:
            plans.extend(Plan(incident, server, kind, value, delay_ms, at_ms, level) for kind, value in effects.items())

        for name in incident.targets:
            plan(name, FAULTS[scenario.root.fault].values(scenario.root.params), 0)
        for consequence in scenario.propagate.effects:
            for server in self._fleet.values():
                if server.role == consequence.role and server.name not in incident.targets:
                    plan(server.name, consequence.effects(), parse_duration(consequence.after))
        for name, hops in self._dependents(incident.targets, scenario.propagate.depth):
            gain = 0.5 ** (hops - 1)
            plan(name, {Kind.LATENCY_TIMES: 1.0 + 1.5 * gain, Kind.ERRORS: 0.04 * gain}, hops * _HOP_MS)
        return tuple(plans)

    def _dependents(self, targets: Sequence[str], depth: int) -> list[tuple[str, int]]:
        """Servers whose role depends on that of a target, with how many steps away they are."""
        reached = {self._fleet[name].role for name in targets}
        edge, found = set(reached), []
        for hops in range(1, depth + 1):
            edge = {name for name, role in self._roles.roles.items() if edge & set(role.depends)} - reached
            reached |= edge
            found += [(server.name, hops) for server in self._fleet.values() if server.role in edge]
        return found


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


def to_row(incident: Incident) -> dict[str, Any]:
    """An incident as the plain values that a store keeps."""
    return {
        "id": incident.id,
        "scenario": incident.scenario,
        "targets": list(incident.targets),
        "start_ms": incident.start_ms,
        "duration_ms": incident.duration_ms,
        "intensity": incident.intensity,
        "cleared_ms": incident.cleared_ms,
    }


def from_row(row: Mapping[str, Any]) -> Incident:
    """The incident of a stored row."""
    return Incident(**{**row, "targets": tuple(row["targets"])})


def _duration_ms(text: str) -> int:
    try:
        length = parse_duration(text)
    except ValueError as err:
        raise ValueError(f"duration {text!r}: {err}") from None
    if not 0 < length <= _LONGEST_MS:
        raise ValueError(f"duration {text!r}: must be above 0s and at most 90d")
    return length
