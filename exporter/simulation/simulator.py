"""The fleet's snapshots: a pure function of seed, incidents and time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from exporter.model import Column, Server, Snapshot
from exporter.simulation.aftermath import Aftermath, Surplus
from exporter.simulation.batches import Batches
from exporter.simulation.columns import Columns
from exporter.simulation.counters import BLOCK_MS, BLOCKS
from exporter.simulation.fleet import shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.load import Load
from exporter.simulation.model import HISTORY_BLOCKS, Model, State
from exporter.simulation.noise import Floats
from exporter.simulation.pattern import DAY_MS, HOUR_MS, Pattern
from exporter.simulation.plans import Plan, Timeline, effects_on
from exporter.simulation.roles import Roles
from exporter.simulation.scrapes import TIMEOUT_S, scrapes
from exporter.simulation.seen import Seen

_BEFORE_MS = 6 * HOUR_MS  # what the first tick after a boot still feels
_LONGEST_MS = 200 * DAY_MS  # of the stretch of time whose incidents are held at once


class Simulator:
    """Makes the fleet's snapshots. `at` any time, in any order, or many ticks at once: the same bit for bit.

    What a tick shows is what happened in the interval that ends there. Between two ticks the last one holds.
    """

    def __init__(
        self,
        fleet: Sequence[Server],
        *,
        seed: int,
        interval_ms: int = 15_000,
        incidents: IncidentLog | None = None,
        roles: Roles | None = None,
        timezone: str = "UTC",
        holidays: Collection[str] = (),
    ) -> None:
        """Raises ValueError on an empty fleet, a role that is not known or an interval that is not positive."""
        self._roles = roles or shipped_roles()
        _check(fleet, self._roles, interval_ms)
        self._interval_ms, self._seed, self._log = interval_ms, seed, incidents
        profiles = list(self._roles.roles.values())
        self._pattern = Pattern(profiles, self._roles.patterns, timezone, holidays)
        self._zone = timezone, tuple(holidays)
        self.fleet = tuple(fleet)
        self._names = [server.name for server in fleet]
        self._servers = {server.name: server for server in fleet}
        self._per_block = BLOCK_MS // _tick_ms(self._interval_ms)
        self._columns = Columns(self.fleet, self._seed)
        self._model = Batches(self.fleet, self._model_of)
        self._seen = Seen(self._columns_of, self._interval_ms)
        self._plans: list[Plan] = []
        self._surplus: dict[tuple[str, int], Surplus] = {}
        self._kept: tuple[int, int, State] | None = None
        self._follow_plans(0, 0)

    def on(self, fleet: Sequence[Server]) -> Simulator:
        """The same on another fleet. What failures left behind on machines that stay is not computed again."""
        timezone, holidays = self._zone
        other = Simulator(
            fleet,
            seed=self._seed,
            interval_ms=self._interval_ms,
            incidents=self._log,
            roles=self._roles,
            timezone=timezone,
            holidays=holidays,
        )
        before = {server.name: _machine(server) for server in self.fleet}
        same = {server.name for server in fleet if before.get(server.name) == _machine(server)}
        other._surplus.update({key: known for key, known in self._surplus.items() if key[0] in same})
        return other

    def at(self, t_ms: int) -> Snapshot:
        """The fleet at a time. t_ms: Unix ms, not negative."""
        return self._snapshot(t_ms, 1)

    def ticks(self, start_ms: int, end_ms: int) -> Iterator[Snapshot]:
        """The snapshots at every multiple of the interval from start to end, both included."""
        first = -(-start_ms // self._interval_ms) * self._interval_ms
        for t_ms in range(first, end_ms + 1, self._interval_ms):
            yield self._snapshot(t_ms, BLOCKS)

    def state(self, t_ms: int) -> State:
        """The hidden state behind the snapshot at a time: one tick."""
        state, tick = self._block_of(t_ms, 1)
        return state.only(tick)

    def _snapshot(self, t_ms: int, blocks: int) -> Snapshot:
        state, tick = self._block_of(t_ms, blocks)
        plans = self._timeline.during(t_ms, t_ms)
        if self._log is None or not plans:
            return Snapshot(t_ms, self._columns.at(state, tick, ()))
        timeout_s = min(TIMEOUT_S, self._interval_ms / 1000.0)
        found = {name: of for name, of in scrapes(plans, t_ms, self._log.seed).items() if name in self._servers}
        silent = [name for name, scrape in found.items() if scrape.lost(timeout_s)]
        columns = self._columns.at(state, tick, _active(plans), silent)
        aside = {
            name: self._columns.at(state, tick, (), [other for other in self._names if other != name])
            for name in silent
            if not (found[name].off or found[name].failing)
        }
        return Snapshot(t_ms, self._seen.columns(columns, plans, t_ms), aside)

    def _columns_of(self, name: str, t_ms: int) -> tuple[Column, ...]:
        """What is seen of one server at a time."""
        server = self._servers[name]
        timezone, holidays = self._zone
        alone = Simulator(
            [server],
            seed=self._seed,
            interval_ms=self._interval_ms,
            incidents=self._log,
            roles=self._roles,
            timezone=timezone,
            holidays=holidays,
        )
        return alone.at(t_ms).columns

    def _block_of(self, t_ms: int, blocks: int) -> tuple[State, int]:
        """A state with this time in it, and the number of its tick."""
        tick = t_ms // self._model.tick_ms - 1
        if tick < 2 * HISTORY_BLOCKS * self._per_block:
            raise ValueError(f"time {t_ms} ms: must be at least five hours after 1970 began")
        self._follow_incidents(t_ms)
        block = tick // self._per_block
        if self._kept is None or not self._kept[0] <= block < self._kept[1]:
            first = block // blocks * blocks
            self._kept = None  # the one before makes room
            self._kept = (first, first + blocks, self._state(first, blocks))
        return self._kept[2], tick - self._kept[0] * self._per_block

    def _state(self, first_block: int, blocks: int) -> State:
        state = self._model.state(first_block, blocks, self._aftermath.offsets)
        ends = self._model.ends(first_block, blocks)
        raw: dict[int, Floats] = {}
        for row, back_ms, counters in self._aftermath.resets(first_block, ends):
            after = ends >= back_ms
            before = raw.setdefault(row, state.counters[row].copy())
            state.counters[row][:, after] = before[:, after] - counters[:, None]
            state.boot_s[row, after] = back_ms / 1000.0
        return state

    def _follow_incidents(self, t_ms: int) -> None:
        """Make ready for incidents that were injected or cleared since, and for all that matter to this time."""
        if self._log is None:
            return
        day = t_ms // DAY_MS
        first = int(self._model.boot_days(day - 1).min()) * DAY_MS - _BEFORE_MS
        last = (day + 1) * DAY_MS + HOUR_MS
        if self._log.changed == self._changed and self._span[0] <= first and last <= self._span[1]:
            return
        if max(last, self._span[1]) - min(first, self._span[0]) <= _LONGEST_MS:
            first, last = min(first, self._span[0]), max(last, self._span[1])
        self._follow_plans(first, last)

    def _follow_plans(self, first_ms: int, last_ms: int) -> None:
        """Hold the plans of a stretch of time."""
        log = self._log
        self._changed = -1 if log is None or not last_ms else log.changed
        self._span = first_ms, last_ms
        self._plans = [] if log is None or not last_ms else log.plans(first_ms, last_ms)
        self._timeline = Timeline(self._plans)
        self._model.follow(self._plans)
        tick_ms, boots = self._model.tick_ms, self._model.boot_days
        self._aftermath = Aftermath(self._plans, self._names, boots, self._submodel, tick_ms, self._surplus)
        self._kept = None

    def _submodel(self, names: Sequence[str]) -> Model:
        model = self._model_of([self._servers[name] for name in names])
        model.effects = effects_on(self._plans, names)
        return model

    def _model_of(self, servers: Sequence[Server]) -> Model:
        load = Load(servers, self._roles, self._pattern, self._seed)
        return Model(load, self._per_block, self._seed)


def _machine(server: Server) -> tuple[object, ...]:
    """What makes its counters."""
    return server.role, server.cores, server.memory_bytes, server.disk_bytes, server.mount


def _active(plans: Sequence[Plan]) -> tuple[tuple[str, str, str], ...]:
    """(server, scenario, root) of the incidents that are felt."""
    return tuple(sorted({(plan.server, plan.incident.scenario, plan.incident.targets[0]) for plan in plans}))


def _tick_ms(interval_ms: int) -> int:
    """The longest tick, of those that divide a block, that is not longer than the interval."""
    return max(size for size in range(1000, min(interval_ms, BLOCK_MS) + 1, 1000) if BLOCK_MS % size == 0)


def _check(fleet: Sequence[Server], roles: Roles, interval_ms: int) -> None:
    if not fleet:
        raise ValueError("fleet: must have at least one server")
    if interval_ms < 1000:
        raise ValueError(f"interval {interval_ms} ms: must be at least 1s")
    for server in fleet:
        if server.role not in roles.roles:
            raise ValueError(f"server {server.name!r}: role {server.role!r}: must be one of {', '.join(roles.roles)}")
