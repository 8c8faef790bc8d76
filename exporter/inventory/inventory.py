"""The fleet's servers and incidents: read from memory, written to the database first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from exporter.inventory import schema
from exporter.inventory.database import SLOW_S, Database, InventoryUnavailable, Transaction
from exporter.inventory.records import from_incident_row, from_server_row, incident_row, server_row
from exporter.model import Server

BATCH = 100
_PUT_SERVER = schema.upsert("servers", schema.SERVER_COLUMNS, keep=("name", "position"))
_PUT_INCIDENT = schema.upsert("incidents", schema.INCIDENT_COLUMNS, keep=("id",))


@dataclass(frozen=True, slots=True)
class InventoryStats:
    """Counts since the start; `servers` now; `available` is how the last transaction went."""

    queries: int
    slow_queries: int
    failures: int
    servers: int
    available: bool


class Inventory:
    """Servers by name, in the order of the fleet.

    Invariant: memory holds what the database acknowledged, so reads go on while it is away.
    Every method that touches the database raises InventoryUnavailable, in one line without a password.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._servers: dict[str, Server] = {}
        self._writing = threading.Lock()
        self._available = True

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] = time.monotonic, slow_s: float = SLOW_S) -> Inventory:
        """The inventory at a URL, its schema brought up to date. Raises ValueError on a URL that can never work."""
        inventory = cls(Database(url, clock=clock, slow_s=slow_s))
        try:
            with inventory._transaction() as transaction:
                schema.migrate(transaction)
            inventory.refresh()
        except schema.SchemaTooNew as err:
            inventory.close()
            raise InventoryUnavailable(f"inventory {inventory._database.shown}: {err}") from None
        except InventoryUnavailable:
            inventory.close()
            raise
        return inventory

    def servers(self) -> tuple[Server, ...]:
        """All servers, from memory."""
        return tuple(self._servers.values())

    def server(self, name: str) -> Server | None:
        """One server, from memory."""
        return self._servers.get(name)

    def refresh(self) -> bool:
        """Read the servers again; returns whether they have changed since."""
        with self._writing:
            with self._transaction() as transaction:
                rows = transaction.execute("SELECT * FROM servers ORDER BY position")
            servers = {row["name"]: from_server_row(row) for row in rows}
            changed = servers != self._servers or list(servers) != list(self._servers)
            self._servers = servers
            return changed

    def seed(self, servers: Iterable[Server]) -> bool:
        """Fill an inventory that has no server yet; returns whether it was filled."""
        if self._servers:
            return False
        self.put(servers)
        return True

    def put(self, servers: Iterable[Server]) -> None:
        """Add servers, at the end of the fleet, or replace those of the same name: all or none."""
        wanted = {server.name: server for server in servers}
        with self._writing:
            with self._transaction() as transaction:
                last = transaction.execute("SELECT max(position) AS last FROM servers")[0]["last"]
                first = 0 if last is None else last + 1
                rows = [server_row(server, first + number) for number, server in enumerate(wanted.values())]
                for start in range(0, len(rows), BATCH):
                    transaction.change(_PUT_SERVER, rows[start : start + BATCH])
            self._servers = {**self._servers, **wanted}

    def remove(self, name: str) -> bool:
        """Take a server out; returns whether it was there."""
        with self._writing:
            with self._transaction() as transaction:
                found = transaction.change("DELETE FROM servers WHERE name = :name", [{"name": name}]) > 0
            self._servers = {key: server for key, server in self._servers.items() if key != name}
            return found

    def save_incident(self, record: Mapping[str, Any]) -> None:
        """Keep an incident, in place of one with its id."""
        with self._transaction() as transaction:
            transaction.change(_PUT_INCIDENT, [incident_row(record)])

    def incidents(self) -> list[dict[str, Any]]:
        """All incidents ever saved, oldest first."""
        with self._transaction() as transaction:
            rows = transaction.execute("SELECT * FROM incidents ORDER BY start_ms")
        return [from_incident_row(row) for row in rows]

    def stats(self) -> InventoryStats:
        """What telemetry shows."""
        database = self._database
        return InventoryStats(
            database.queries, database.slow_queries, database.failures, len(self._servers), self._available
        )

    def close(self) -> None:
        """End all connections."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        try:
            with self._database.transaction() as transaction:
                yield transaction
        except InventoryUnavailable:
            self._available = False
            raise
        self._available = True
