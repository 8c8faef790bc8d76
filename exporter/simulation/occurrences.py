"""Incidents that happen by themselves: on schedule, or at random. A pure function of seed, fleet, scenarios and day.

Each server has its own dice for each scenario and day, so another server more or less changes nothing for the others.
Of a fleet of 40 servers or more only so many can be struck on a day, others on the next: a large fleet does not
fail more often than people could watch, and what failures leave behind stays quick to compute.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from exporter.duration import parse_duration
from exporter.model import Server
from exporter.simulation.incident import Incident
from exporter.simulation.noise import bits, key, keys
from exporter.simulation.pattern import DAY_MS
from exporter.simulation.plans import Planner
from exporter.simulation.scenarios import Root, Scenario, Schedule

_AT_RISK = 20  # servers a day, and up to twice as many
_TO_UNIT = 2.0**-64
_EPOCH = dt.date(1970, 1, 1)
FOREVER_MS = 1 << 62

Stay: TypeAlias = tuple[int, int]
"""When a server was in the fleet: from a time on up to but not at another, Unix ms."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Who has left the fleet, and the stays of those that were not always in it."""

    former: Sequence[Server] = ()
    stays: Mapping[str, Stay] = field(default_factory=dict)


NO_PAST = Past()


class Occurrences:
    """The incidents that begin by themselves, by the UTC day on which they begin.

    fleet: also who has left it. rate: how often random ones happen, 1 as their scenarios say, 0 never. stays: of those
    that were not always there; nothing begins on a server that was not. usual: how large the fleet is meant to be,
    without it as large as it is: one server more must not change how many of a large fleet can be struck.
    """

    def __init__(
        self,
        fleet: Mapping[str, Server],
        planner: Planner,
        scenarios: Mapping[str, Scenario],
        *,
        seed: int,
        rate: float,
        interval_ms: int,
        timezone: str = "UTC",
        stays: Mapping[str, Stay] = NO_PAST.stays,
        usual: int | None = None,
    ) -> None:
        self._stays, self._size = stays, len(fleet) if usual is None else usual
        self._fleet, self._planner, self._seed, self._rate = fleet, planner, seed, rate
        self._interval_ms, self._zone = interval_ms, ZoneInfo(timezone)
        self._scenarios = [
            (scenario, scenario.schedule)
            for scenario in scenarios.values()
            if scenario.schedule is not None and (rate > 0 or scenario.schedule.random is None)
        ]
        self._names = list(fleet)
        self._unlucky = keys(seed, self._names, "unlucky") if rate > 0 else np.empty(0, dtype=np.uint64)
        self.longest_ms = max((2 * scenario.duration_ms for scenario, _ in self._scenarios), default=0)
        self.starting = functools.lru_cache(maxsize=128)(self._starting)

    def _starting(self, day: int) -> tuple[Incident, ...]:
        """Those that begin on a day since 1970."""
        if not self._scenarios:
            return ()
        at_risk = self._at_risk(day)
        return tuple(
            incident
            for scenario, schedule in self._scenarios
            for incident in (
                self._random(scenario, schedule.random * self._rate, day, at_risk)
                if schedule.random is not None
                else self._on_time(scenario, schedule, day)
            )
        )

    def _at_risk(self, day: int) -> list[Server]:
        """The servers that can be struck on a day: all of less than 40, else 20 to 40 of them."""
        if not len(self._unlucky):
            return []
        spared = max(0, math.floor(math.log2(self._size / _AT_RISK)))
        drawn = bits(self._unlucky, np.array([day], dtype=np.int64)) & np.uint64((1 << spared) - 1)
        return [self._fleet[self._names[row]] for row in np.flatnonzero(drawn == 0).tolist()]

    def _random(self, scenario: Scenario, per_day: float, day: int, at_risk: Sequence[Server]) -> Iterator[Incident]:
        for server in at_risk:
            if not fits(scenario.root, server):
                continue
            for number in range(math.ceil(per_day)):
                of = functools.partial(self._draw, scenario.name, server.name, day, number)
                if of("happens") < per_day - number:
                    start = day * DAY_MS + math.ceil(of("when") * DAY_MS / self._interval_ms) * self._interval_ms
                    length = round(scenario.duration_ms * (0.7 + 0.8 * of("how long")))
                    if self._was_there(server.name, start):
                        yield self._incident(scenario, start, self._with_others(scenario, server, start), length)

    def _draw(self, scenario: str, server: str, day: int, number: int, what: str) -> float:
        return key(self._seed, what, scenario, server, str(day), str(number)) * _TO_UNIT

    def _was_there(self, name: str, t_ms: int) -> bool:
        joined_ms, left_ms = self._stays.get(name, (0, FOREVER_MS))
        return joined_ms <= t_ms < left_ms

    def _with_others(self, scenario: Scenario, server: Server, start_ms: int) -> tuple[str, ...]:
        """A server, and where the scenario says a percentage, more of its cell."""
        if scenario.root.percent is None:
            return (server.name,)
        there = self._planner.neighbours(server.name, server.role)
        known = [name for name in there if name in self._fleet and self._was_there(name, start_ms)]
        fitting = [name for name in known if fits(scenario.root, self._fleet[name])]
        first = fitting.index(server.name)
        count = max(1, round(len(fitting) * scenario.root.percent / 100.0))
        return tuple((fitting[first:] + fitting[:first])[:count])

    def _on_time(self, scenario: Scenario, schedule: Schedule, day: int) -> Iterator[Incident]:
        moments = (*self._at(schedule, day), *_every(schedule, day))
        for start in sorted({-(-moment // self._interval_ms) * self._interval_ms for moment in moments}):
            there = (server for name, server in self._fleet.items() if self._was_there(name, start))
            if targets := chosen(scenario, there, f"{scenario.name}@{start}"):
                yield self._incident(scenario, start, targets, scenario.duration_ms)

    def _at(self, schedule: Schedule, day: int) -> Iterator[int]:
        yield from (instant for instant in schedule.instants_ms if instant // DAY_MS == day)
        for date in (_EPOCH + dt.timedelta(days=day + shift) for shift in (-1, 0, 1)):  # the zone's days overlap ours
            for hour, minute in schedule.clock_times:
                moment = dt.datetime.combine(date, dt.time(hour, minute), tzinfo=self._zone)
                t_ms = round(moment.timestamp() * 1000)
                if t_ms // DAY_MS == day:
                    yield t_ms

    def _incident(self, scenario: Scenario, start_ms: int, targets: tuple[str, ...], length_ms: int) -> Incident:
        return Incident(f"{scenario.name}@{start_ms // 1000}.{targets[0]}", scenario.name, targets, start_ms, length_ms)


def _every(schedule: Schedule, day: int) -> Iterator[int]:
    if schedule.every is not None:
        period = parse_duration(schedule.every)
        yield from range(-(-day * DAY_MS // period) * period, (day + 1) * DAY_MS, period)


def fits(root: Root, server: Server) -> bool:
    """Whether a scenario can start on a server."""
    return (
        root.server in (None, server.name)
        and root.role in (None, server.role)
        and all(server.labels.get(name) == value for name, value in (root.label or {}).items())
    )


def chosen(scenario: Scenario, fleet: Iterable[Server], id: str) -> tuple[str, ...]:
    """The servers on which an incident with this id starts where nobody names any; none if no server fits."""
    fitting = [server.name for server in fleet if fits(scenario.root, server)]
    if not fitting:
        return ()
    percent = scenario.root.percent
    count = 1 if percent is None else max(1, round(len(fitting) * percent / 100.0))
    first = key(0, "target", id) % len(fitting)
    return tuple((fitting[first:] + fitting[:first])[:count])
