"""Incidents: scenarios that really happen, to whom and when. The log of them is the fleet's truth."""

from __future__ import annotations

import functools
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from exporter.duration import format_duration, parse_duration
from exporter.model import Server
from exporter.simulation.incident import LONGEST_MS, Incident, to_row
from exporter.simulation.occurrences import NO_PAST, Occurrences, Past, chosen
from exporter.simulation.pattern import DAY_MS
from exporter.simulation.plans import Plan, Planner
from exporter.simulation.roles import Roles
from exporter.simulation.scenarios import Scenario
from exporter.simulation.scrapes import Scrape, scrapes
from exporter.simulation.truth import described

_REACH_MS = 400 * DAY_MS
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class IncidentConflict(ValueError):
    """An id is taken by another incident."""


class IncidentStore(Protocol):
    """Where incidents outlive the process."""

    def save_incident(self, record: Mapping[str, Any]) -> None:
        """Insert or replace by its `id`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _There:
    """A fleet, and what follows from it alone; replaced as a whole, so that no thread sees half of it."""

    fleet: Mapping[str, Server]
    planner: Planner
    occurrences: Occurrences
    planned: Callable[[Incident], tuple[Plan, ...]]


class IncidentLog:
    """All incidents of a fleet, those asked for and those that happen by themselves: the truth about any time.

    `changed` counts the changes, so that what was computed before one can be dropped. Any thread may read and inject.
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
        past: Past = NO_PAST,
        usual: int | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12],
        seed: int = 1,
        rate: float = 0.0,
        timezone: str = "UTC",
    ) -> None:
        """usual, seed, rate, timezone: for what happens by itself, see `Occurrences`."""
        self.seed = seed
        self._roles, self._scenarios = roles, scenarios
        self._interval_ms, self._store, self._new_id = interval_ms, store, new_id
        self._rate, self._timezone, self._usual = rate, timezone, usual
        self._incidents = {incident.id: incident for incident in incidents}
        self._saving = threading.Lock()
        self.changed = len(self._incidents)
        self._there = self._on(fleet, past)

    def follow(self, fleet: Sequence[Server], past: Past = NO_PAST) -> None:
        """From now on this is the fleet. What failed on those that have left it did happen to the others."""
        self._there = self._on(fleet, past)
        self.changed += 1

    def _on(self, fleet: Sequence[Server], past: Past) -> _There:
        servers = {server.name: server for server in fleet}
        ever = {server.name: server for server in (*past.former, *fleet)}
        planner = Planner(ever, self._roles, self._scenarios)
        occurrences = Occurrences(
            ever,
            planner,
            self._scenarios,
            seed=self.seed,
            rate=self._rate,
            interval_ms=self._interval_ms,
            timezone=self._timezone,
            stays=past.stays,
            usual=self._usual,
        )
        return _There(servers, planner, occurrences, functools.lru_cache(maxsize=4096)(planner.plans))

    def inject(
        self,
        scenario: str,
        targets: Sequence[str] = (),
        *,
        now_ms: int,
        duration: str | None = None,
        ttl: str | None = None,
        intensity: float = 1.0,
        id: str | None = None,
    ) -> Incident:
        """Let a scenario happen from the next tick on, on the targets or where the scenario says.

        It lasts for `duration`, for as long as its scenario says, or with `ttl` at its peak until it is cleared or so
        long after it was last asked for. The same id with the same wish answers with the incident there already is.
        Raises IncidentConflict, or ValueError naming what exists.
        """
        self._check(scenario, targets, intensity, id)
        if duration is not None and ttl is not None:
            raise ValueError("duration, ttl: must not both be set")
        number = id or self._new_id()
        start = self._next_ms(now_ms)
        if ttl is not None:
            length, cleared = LONGEST_MS, start + _duration_ms("ttl", ttl)
        else:
            usual = self._scenarios[scenario].duration_ms
            length, cleared = usual if duration is None else _duration_ms("duration", duration), None
        names = tuple(dict.fromkeys(targets)) or self._chosen(self._scenarios[scenario], number)
        incident = Incident(number, scenario, names, start, length, intensity, cleared)
        if known := self.find(number):
            return self._again(known, incident, now_ms)
        self._save(incident)
        return incident

    def _check(self, scenario: str, targets: Sequence[str], intensity: float, id: str | None) -> None:
        if scenario not in self._scenarios:
            raise ValueError(f"scenario {scenario!r}: must be one of {', '.join(self._scenarios)}")
        for name in targets:
            if name not in self._there.fleet:
                shown = ", ".join(list(self._there.fleet)[:20]) + (", …" if len(self._there.fleet) > 20 else "")
                raise ValueError(f"server {name!r}: must be one of {shown}")
        if not 0.0 < intensity <= 1.0:
            raise ValueError(f"intensity {intensity!r}: must be above 0 and at most 1")
        if id is not None and not _ID.fullmatch(id):
            raise ValueError(f"id {id!r}: must be up to 128 letters, digits and . _ : -")

    def _again(self, known: Incident, asked: Incident, now_ms: int) -> Incident:
        """What there already is under an id, its lease begun anew."""
        if replace(asked, start_ms=known.start_ms, cleared_ms=known.cleared_ms) != known:
            raise IncidentConflict(f"id {known.id!r}: is that of another incident, of scenario {known.scenario}")
        if known.leased and known.end_ms > now_ms and asked.end_ms > known.end_ms:
            known = replace(known, cleared_ms=asked.cleared_ms)
            self._save(known)
        return known

    def clear(self, id: str, *, now_ms: int) -> Incident:
        """End an incident at the next tick; one that is over stays as it was. Raises KeyError."""
        incident = self.find(id, now_ms)
        if incident is None:
            raise KeyError(id)
        moment = self._next_ms(now_ms)
        if moment >= incident.end_ms:
            return incident
        cleared = replace(incident, cleared_ms=max(moment, incident.start_ms))
        self._save(cleared)
        return cleared

    def find(self, id: str, now_ms: int | None = None) -> Incident | None:
        """The incident with an id, of those that happen by themselves only what is near `now_ms`."""
        if id in self._incidents or now_ms is None:
            return self._incidents.get(id)
        near = self.between(now_ms - DAY_MS, now_ms + self._interval_ms)
        return next((incident for incident in near if incident.id == id), None)

    def active(self, now_ms: int) -> list[Incident]:
        """Those that have not ended, also those that start at the next tick; oldest first."""
        asked = [incident for incident in self._incidents.values() if incident.end_ms > now_ms]
        return self._ordered([*asked, *self._by_themselves(now_ms + 1, self._next_ms(now_ms))])

    def between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Those that have begun by the end and have not ended at the start, oldest first.

        Of those that happen by themselves not the ones more than 400 days before the end: they have no first one.
        """
        asked = [i for i in self._incidents.values() if i.start_ms <= end_ms and i.end_ms > start_ms]
        return self._ordered([*asked, *self._by_themselves(start_ms, end_ms)])

    def _by_themselves(self, start_ms: int, end_ms: int) -> list[Incident]:
        first = max(start_ms - self._there.occurrences.longest_ms, end_ms - _REACH_MS, 0) // DAY_MS
        return [
            incident
            for day in range(first, end_ms // DAY_MS + 1)
            for incident in self._there.occurrences.starting(day)
            if incident.start_ms <= end_ms and incident.end_ms > start_ms and incident.id not in self._incidents
        ]

    def _ordered(self, incidents: Iterable[Incident]) -> list[Incident]:
        possible = filter(self._there.planner.possible, incidents)
        return sorted(possible, key=lambda incident: (incident.start_ms, incident.id))

    def truth(self, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """What was simulated between two times, as JSON-ready records."""
        return [self.record(incident) for incident in self.between(start_ms, end_ms)]

    def record(self, incident: Incident) -> dict[str, Any]:
        """One incident with its truth: peak, root, what it affects. Times are Unix seconds."""
        return described(incident, self._scenarios[incident.scenario], self._there.planned(incident))

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

    def plans(self, start_ms: int, end_ms: int) -> list[Plan]:
        """Every effect of the incidents that touch a stretch of time, in the order in which they are applied."""
        reach = self._there.planner.latest_ms  # an effect elsewhere ends as much later as it began
        return [plan for incident in self.between(start_ms - reach, end_ms) for plan in self._there.planned(incident)]

    def scrapes(self, t_ms: int) -> Mapping[str, Scrape]:
        """How the pages of single servers come at a time, by server; those that come well are left out."""
        return scrapes(self.plans(t_ms, t_ms), t_ms, self.seed)

    def _next_ms(self, now_ms: int) -> int:
        return (now_ms // self._interval_ms + 1) * self._interval_ms

    def _save(self, incident: Incident) -> None:
        if self._store is not None:
            self._store.save_incident(to_row(incident))
        with self._saving:
            self._incidents = {**self._incidents, incident.id: incident}  # another thread may be reading the old ones
            self.changed += 1

    def _chosen(self, scenario: Scenario, id: str) -> tuple[str, ...]:
        found = chosen(scenario, self._there.fleet.values(), id)
        if not found:
            raise ValueError(f"scenario {scenario.name!r}: no server of the fleet is a root of it; name a server")
        return found


def _duration_ms(name: str, text: str) -> int:
    try:
        length = parse_duration(text)
    except ValueError as err:
        raise ValueError(f"{name} {text!r}: {err}") from None
    if not 0 < length <= LONGEST_MS:
        raise ValueError(f"{name} {text!r}: must be above 0s and at most 90d")
    return length
