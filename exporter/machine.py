"""The machine it runs on as the only server of its inventory: what people say of it, next to what it says itself."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.inventory.database import InventoryUnavailable
from exporter.inventory.inventory import Inventory
from exporter.model import Server
from exporter.web.servers import Decide, RegisterAway, ServerRefused


class OwnMachine:
    """A register of one server, which can be described and neither added nor removed."""

    def __init__(self, inventory: Inventory, server: Server, now_ms: int) -> None:
        """server: the machine as it says it is; added to the inventory if that does not know it. now_ms: Unix ms."""
        self._joined_ms = now_ms
        self._inventory = inventory
        self._server = server
        inventory.add([server], now_ms)

    def servers(self) -> Mapping[str, Server]:
        """The machine by its name."""
        kept = self._inventory.kept().get(self._server.name)
        return {self._server.name: self._server if kept is None else kept.server}

    def proposed(self, name: str, role: str) -> Server:
        """The machine. Raises ValueError for another role than its own."""
        if role != self._server.role:
            raise ValueError(f"role: {role[:64]!r}: must be {self._server.role}: this is the machine it runs on")
        return self._server

    def change(self, name: str, decide: Decide) -> Server | None:
        """Write what `decide` makes of the machine. Raises RegisterAway, ServerRefused and what `decide` raises."""

        def decided(current: Server | None) -> Server:
            wanted = decide(current)
            if name != self._server.name:
                raise ServerRefused(f"id: {name[:64]!r}: this exporter watches {self._server.name}, where it runs")
            if wanted is None:
                raise ServerRefused(f"id: {name!r}: is the machine it runs on")
            if wanted.environment != self._server.environment:
                raise ServerRefused(f"environment: {wanted.environment!r}: is set by fleet.environment")
            return wanted

        try:
            return self._inventory.change(name, decided, self._joined_ms)
        except InventoryUnavailable as err:
            raise RegisterAway(str(err)) from None

    def refresh(self) -> None:
        """Take over what others have written. Raises InventoryUnavailable."""
        self._inventory.refresh()
