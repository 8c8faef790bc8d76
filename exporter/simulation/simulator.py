"""The fleet's snapshots: a pure function of seed, incidents and time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from exporter.model import Server, Snapshot
from exporter.simulation.aftermath import Aftermath, Surplus
from exporter.simulation.columns import Columns
from exporter.simulation.counters import BLOCK_MS, BLOCKS
from exporter.simulation.fleet import shipped_roles
from exporter.simulation.incidents import IncidentLog, Plan, Timeline, effects_on
from exporter.simulation.load import Load
from exporter.simulation.model import HISTORY_BLOCKS, Model, State
from exporter.simulation.pattern import Pattern
from exporter.simulation.roles import Roles


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
        self.fleet = tuple(fleet)
        self._interval_ms = interval_ms
        self._seed = seed
        self._log = incidents
        self._names = [server.name for server in fleet]
        profiles = list(self._roles.roles.values())
        self._pattern = Pattern(profiles, self._roles.patterns, timezone, holidays)
        self._per_block = BLOCK_MS // _tick_ms(interval_ms)
        load = Load(self.fleet, self._roles, self._pattern, seed)
        self._columns = Columns(load)
        self._model = Model(load, self._per_block, seed, lambda ends: [])
        self._changed = -1
        self._plans: list[Plan] = []
        self._timeline = Timeline(())
        self._surplus: dict[int, Surplus] = {}
        self._kept: tuple[int, int, State] | None = None
        self._follow_incidents()

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
        return Snapshot(t_ms, self._columns.at(state, tick, self._active(t_ms)))

    def _block_of(self, t_ms: int, blocks: int) -> tuple[State, int]:
        """A state with this time in it, and the number of its tick."""
        self._follow_incidents()
        tick = t_ms // self._model.tick_ms - 1
        if tick < 2 * HISTORY_BLOCKS * self._per_block:
            raise ValueError(f"time {t_ms} ms: must be at least five hours after 1970 began")
        block = tick // self._per_block
        if self._kept is None or not self._kept[0] <= block < self._kept[1]:
            first = block // blocks * blocks
            self._kept = (first, first + blocks, self._state(first, blocks))
        return self._kept[2], tick - self._kept[0] * self._per_block

    def _state(self, first_block: int, blocks: int) -> State:
        state = self._model.state(first_block, blocks, self._aftermath.offsets)
        ends = self._model.ends(first_block, blocks)
        raw = state.counters.copy()
        for row, back_ms, counters in self._aftermath.resets(first_block, ends):
            after = ends >= back_ms
            state.counters[row][:, after] = raw[row][:, after] - counters[:, None]
            state.boot_s[row, after] = back_ms / 1000.0
        return state

    def _active(self, t_ms: int) -> tuple[tuple[str, str, str], ...]:
        if self._log is None:
            return ()
        found = {
            (plan.server, plan.incident.scenario, plan.incident.targets[0])
            for plan in self._timeline.during(t_ms, t_ms)
        }
        return tuple(sorted(found))

    def _follow_incidents(self) -> None:
        """Make ready for incidents that were injected or cleared since."""
        if self._log is None:
            if self._changed < 0:
                self._changed = 0
                self._aftermath = Aftermath((), self._names, self._submodel, self._model.tick_ms)
            return
        if self._log.changed != self._changed:
            self._changed = self._log.changed
            self._plans = self._log.plans()
            self._timeline = Timeline(self._plans)
            self._model.effects = effects_on(self._plans, self._names)
            self._model.forget()
            tick_ms = self._model.tick_ms
            self._aftermath = Aftermath(self._plans, self._names, self._submodel, tick_ms, self._surplus)
            self._kept = None

    def _submodel(self, names: Sequence[str]) -> Model:
        chosen = set(names)
        servers = [server for server in self.fleet if server.name in chosen]
        load = Load(servers, self._roles, self._pattern, self._seed)
        return Model(load, self._per_block, self._seed, effects_on(self._plans, [server.name for server in servers]))


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
