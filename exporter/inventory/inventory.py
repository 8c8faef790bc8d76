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
from exporter.inventory.records import Kept, from_incident_row, from_server_row, incident_row, server_row
from exporter.model import Server

BATCH = 100
MAX_SERVERS = 100_000
_PUT_SERVER = schema.upsert("servers", schema.SERVER_COLUMNS, keep=("name", "position"))
_PUT_INCIDENT = schema.upsert("incidents", schema.INCIDENT_COLUMNS, keep=("id",))

Decide = Callable[[Server | None], Server | None]
"""What a server is to be, from what it is; None: not of the fleet. What it raises leaves all as it was."""


class TooManyServersError(Exception):
    """There is no room for another server."""


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
    `revision` grows with every change of what memory holds.
    """

    def __init__(self, database: Database, most: int = MAX_SERVERS) -> None:
        self._database, self._most = database, most
        self._kept: dict[str, Kept] = {}
        self._read: dict[str, int] = {}
        self._writing = threading.Lock()
        self._available = True
        self.revision = 0

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        slow_s: float = SLOW_S,
        most: int = MAX_SERVERS,
    ) -> Inventory:
        """The inventory at a URL, its schema brought up to date. Raises ValueError on a URL that can never work.

        most: how many servers it takes.
        """
        inventory = cls(Database(url, clock=clock, slow_s=slow_s), most)
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

    def kept(self) -> Mapping[str, Kept]:
        """Every server ever known, by name, in the order of the fleet; from memory."""
        return self._kept

    def servers(self) -> tuple[Server, ...]:
        """Those that have not been removed, from memory."""
        return tuple(kept.server for kept in self._kept.values() if not kept.removed)

    def refresh(self) -> bool:
        """Read the servers again; returns whether they have changed since."""
        with self._writing:
            with self._transaction() as transaction:
                rows = transaction.execute("SELECT * FROM servers ORDER BY position, name")
            read = {row["name"]: hash(tuple(row.values())) for row in rows}
            if read == self._read and list(read) == list(self._kept):
                return False
            kept = {}
            for row in rows:
                name = row["name"]
                same = self._read.get(name) == read[name] and name in self._kept
                kept[name] = self._kept[name] if same else from_server_row(row)
            changed = list(kept.items()) != list(self._kept.items())
            self._read = read
            if changed:
                self._hold(kept)
            return changed

    def add(self, made: Iterable[Server], now_ms: int) -> None:
        """Add servers that the program made, at the end of the fleet, all or none; one that is known stays as it is.

        The first ones were always there, later ones join now.
        """
        with self._writing, self._transaction() as transaction:
            missing = [server for server in made if server.name not in self._kept]
            first = _next_position(transaction)
            kept = [Kept(server, made=True, joined_ms=now_ms if self._kept else 0) for server in missing]
            rows = [server_row(each, first + number) for number, each in enumerate(kept)]
            for start in range(0, len(rows), BATCH):
                transaction.change(_PUT_SERVER, rows[start : start + BATCH])
        if kept:
            self._hold({**self._kept, **{each.server.name: each for each in kept}})

    def change(self, name: str, decide: Decide, now_ms: int) -> Server | None:
        """Write what `decide` makes of a server as the database has it now; returns that.

        now_ms: Unix ms, from when on it is in the fleet or no longer.
        Nobody else changes the server in between. Raises TooManyServersError, and whatever `decide` raises.
        """
        with self._writing:
            with self._transaction() as transaction:
                row = transaction.execute(
                    f"SELECT * FROM servers WHERE name = :name{transaction.driver.row_lock}",  # noqa: S608 (our own words)
                    {"name": name},
                )
                before = from_server_row(row[0]) if row else None
                current = before.server if before is not None and not before.removed else None
                wanted = decide(current)
                # who writes a made server as it is makes it his own
                same = wanted == current and not (before is not None and before.made)
                kept = before if same else self._written(transaction, before, wanted, now_ms)
            if kept is not None and kept != self._kept.get(name):
                self._hold({**self._kept, name: kept})
            return wanted

    def _written(self, transaction: Transaction, before: Kept | None, wanted: Server | None, now_ms: int) -> Kept:
        if before is None and len(self._kept) >= self._most:
            raise TooManyServersError(f"the inventory holds {self._most} servers, and that is all it takes")
        there = before is not None and not before.removed
        if wanted is not None:
            kept = Kept(wanted, joined_ms=before.joined_ms if before is not None and there else now_ms)
        else:
            assert before is not None, "only a server that is there can be removed"
            kept = Kept(before.server, joined_ms=before.joined_ms, left_ms=now_ms)
        transaction.change(_PUT_SERVER, [server_row(kept, _next_position(transaction))])
        return kept

    def _hold(self, kept: dict[str, Kept]) -> None:
        self._kept = kept
        self.revision += 1

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
        servers = sum(not kept.removed for kept in self._kept.values())
        return InventoryStats(database.queries, database.slow_queries, database.failures, servers, self._available)

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


def _next_position(transaction: Transaction) -> int:
    last = transaction.execute("SELECT max(position) AS last FROM servers")[0]["last"]
    return 0 if last is None else int(last) + 1
