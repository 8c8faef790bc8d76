"""The simulated fleet of an inventory: its snapshots, and its changes while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from exporter.inventory.database import InventoryUnavailable
from exporter.inventory.inventory import Inventory, TooManyServersError
from exporter.members import Members
from exporter.model import Server, Snapshot
from exporter.shard import WHOLE, Shard
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.occurrences import Past
from exporter.simulation.roles import Roles
from exporter.simulation.simulator import Simulator
from exporter.web.servers import Decide, RegisterAway, ServerRefused

log = logging.getLogger(__name__)

_RESTART = "server-crash"
_RESTART_TAKES = "1m"


class SimulatedFleet:
    """Makes the snapshots of the members, and lets clients change who they are.

    A change is felt from the first tick on that begins after it: a new server appears, one that was removed
    ends, nothing moves on the others. One that gets another size or role restarts for it, as a machine would.
    No tick waits for a change.
    """

    def __init__(
        self,
        members: Members,
        inventory: Inventory,
        roles: Roles,
        incidents: IncidentLog,
        build: Callable[[tuple[Server, ...]], Simulator],
        *,
        made_like: Callable[[str, str], Server],
        interval_ms: int,
        now: Callable[[], float],
        shard: Shard = WHOLE,
    ) -> None:
        """build: a simulator of some servers, with these incidents. made_like: a server by name and role.

        now: Unix seconds. shard: of whose servers there are snapshots; failures are those of the whole fleet.
        """
        self._shard = shard
        self._members, self._inventory, self._roles, self._incidents = members, inventory, roles, incidents
        self._made_like = made_like
        self._interval_ms, self._now = interval_ms, now
        self._changing = threading.Lock()
        self._coming: dict[int, tuple[tuple[Server, ...], Past]] = {}
        self._fleet = tuple(members.now().values())
        self.simulator = build(self._own())

    def at(self, t_ms: int) -> Snapshot:
        """The fleet at a time, Unix ms."""
        if due := [start_ms for start_ms in list(self._coming) if start_ms <= t_ms]:
            self._follow(*self._coming[max(due)])
            for start_ms in due:
                del self._coming[start_ms]
        return self.simulator.at(t_ms)

    def _follow(self, fleet: tuple[Server, ...], past: Past) -> None:
        if fleet and list(map(_seen, fleet)) != list(map(_seen, self._fleet)):
            self._incidents.follow(fleet, past)
            self._fleet = fleet
            self.simulator = self.simulator.on(self._own() or self.simulator.fleet)
            log.info("the fleet has changed servers=%d", len(fleet))

    def _own(self) -> tuple[Server, ...]:
        return tuple(server for server in self._fleet if self._shard.has(server.name))

    def servers(self) -> Mapping[str, Server]:
        """The members by name, those of this shard."""
        return {name: server for name, server in self._members.now().items() if self._shard.has(name)}

    def proposed(self, name: str, role: str) -> Server:
        """A server of a role as the fleet would make one. Raises ValueError."""
        if role not in self._roles.roles:
            raise ValueError(f"role: {role[:64]!r}: must be one of {', '.join(self._roles.roles)}")
        return self._made_like(name, role)

    def change(self, name: str, decide: Decide) -> Server | None:
        """Write what `decide` makes of a server. Raises RegisterAway, ServerRefused and what `decide` raises."""
        before: Server | None = None

        def decided(current: Server | None) -> Server | None:
            nonlocal before
            before = current
            wanted = decide(current)
            if wanted is None and len(self._members.now()) <= 1:
                raise ServerRefused(f"id: {name!r}: is the last server of the fleet")
            return wanted

        with self._changing:
            try:
                after = self._inventory.change(name, decided, self._next_ms())
            except InventoryUnavailable as err:
                raise RegisterAway(str(err)) from None
            except TooManyServersError as err:
                raise ServerRefused(str(err)) from None
            rebuilt = before is not None and after is not None and _rebuilt(before, after)
            if rebuilt:
                self._restart(name)
            self._expect(later=rebuilt)
            return after

    def refresh(self) -> None:
        """Take over what others have written. Raises InventoryUnavailable."""
        with self._changing:
            if self._inventory.refresh():
                self._expect()

    def _next_ms(self) -> int:
        return (round(self._now() * 1000) // self._interval_ms + 1) * self._interval_ms

    def _expect(self, *, later: bool = False) -> None:
        """The members as they are now, from the next tick on: the one that is due may be late.

        A restart begins with the next tick and is seen in the one after it: what is rebuilt is new from then on.
        """
        start_ms = max(self._next_ms() + later * self._interval_ms, *list(self._coming), 0)
        self._coming[start_ms] = (tuple(self._members.now().values()), self._members.past())

    def _restart(self, name: str) -> None:
        now_ms = round(self._now() * 1000)
        try:
            self._incidents.inject(
                _RESTART, (name,), now_ms=now_ms, duration=_RESTART_TAKES, id=f"rebuilt-{name}-{now_ms}"
            )
        except (InventoryUnavailable, ValueError) as err:
            log.warning("a server that was rebuilt does not restart server=%s err=%s", name, err)


def _seen(server: Server) -> Server:
    """What of a server is seen in its samples."""
    return replace(server, thresholds={}, notes="", maintenance=())


def _rebuilt(before: Server, after: Server) -> bool:
    """Whether it is another machine, not the same one with another note."""
    return any(getattr(before, name) != getattr(after, name) for name in _HARDWARE)


_HARDWARE = ("role", "cores", "memory_bytes", "disk_bytes", "mount")
