"""Who of an inventory is in the simulated fleet, and who was."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exporter.inventory.inventory import Inventory
from exporter.inventory.records import Kept
from exporter.model import Server
from exporter.simulation.occurrences import FOREVER_MS, Past, Stay


class Members:
    """Who of an inventory is in the fleet: everybody but those that the program made beyond the number asked for."""

    def __init__(self, inventory: Inventory, made: Collection[Server], roles: Collection[str], now_ms: int) -> None:
        """made: the servers that `fleet.servers` asks for; those that the inventory never knew are added to it.

        now_ms: Unix ms.
        """
        self._inventory = inventory
        self._wanted = frozenset(server.name for server in made)
        self._roles = frozenset(roles)
        self._read: tuple[int, dict[str, Server], Past] | None = None
        inventory.add(made, now_ms)

    def now(self) -> Mapping[str, Server]:
        """The fleet by name, in its order."""
        return self._current()[1]

    def past(self) -> Past:
        """Who has left it, and who was there when."""
        return self._current()[2]

    def _current(self) -> tuple[int, dict[str, Server], Past]:
        revision = self._inventory.revision
        if self._read is None or self._read[0] != revision:
            kept = [each for each in self._inventory.kept().values() if each.server.role in self._roles]
            fleet = {each.server.name: each.server for each in kept if self._belongs(each)}
            former = tuple(each.server for each in kept if each.removed)
            stays = {each.server.name: _stay(each) for each in kept if each.joined_ms or each.removed}
            self._read = (revision, fleet, Past(former, stays))
        return self._read

    def _belongs(self, kept: Kept) -> bool:
        return not kept.removed and (not kept.made or kept.server.name in self._wanted)


def _stay(kept: Kept) -> Stay:
    return (kept.joined_ms, FOREVER_MS if kept.left_ms is None else kept.left_ms)
