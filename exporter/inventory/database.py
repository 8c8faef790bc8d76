"""Transactions on SQLite or PostgreSQL through their own drivers, every statement timed, no secret in an error.

SQLAlchemy would add 11 MB to the 76 of 80 that the exporter takes,
for the dozen statements there are here (docs/inventory.md).
Statements are written with named parameters, `:name`, in the SQL that both databases speak.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

SLOW_S = 0.5
Rows = list[dict[str, Any]]
Parameters = Mapping[str, Any]
_PASSWORD = re.compile(r"(?<=:)[^:@/]*(?=@)")


class InventoryUnavailable(Exception):
    """The database cannot be reached or used now; what is in memory can still be read."""


class Driver(Protocol):
    """One kind of database. What it raises is one of `errors`."""

    errors: tuple[type[Exception], ...]
    row_lock: str  # after a SELECT: nobody else changes its rows before the transaction ends

    def transaction(self) -> Any:
        """A context with a DB-API connection in a transaction: committed at its end, rolled back on any error."""
        ...

    def statement(self, sql: str) -> str:
        """The SQL with its `:name` parameters as the driver wants them."""
        ...

    def lock(self) -> str | None:
        """A statement that lets one program at a time migrate, where beginning a transaction does not."""
        ...

    def has_table(self) -> str:
        """A query with a row if the table `:name` is there."""
        ...

    def close(self) -> None: ...


class Transaction:
    """Executes statements on a connection."""

    def __init__(self, connection: Any, driver: Driver, timed: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._connection = connection
        self.driver = driver
        self._timed = timed

    def execute(self, sql: str, parameters: Parameters | None = None) -> Rows:
        """The rows that a statement answers with, by column; none for one that only changes something."""
        text = self.driver.statement(sql)
        cursor = self._timed(sql, lambda: self._connection.execute(text, dict(parameters or {})))
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def change(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Execute a statement for every row in one go; returns how many rows it changed."""
        text = self.driver.statement(sql)
        cursor = self._connection.cursor()
        self._timed(sql, lambda: cursor.executemany(text, [dict(row) for row in rows]))
        return int(cursor.rowcount)


class Database:
    """One database. Counts its statements, the slow ones and the failures."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic, slow_s: float = SLOW_S) -> None:
        """url: `sqlite:///PATH` or `postgresql://…`. Raises ValueError; connects at the first transaction."""
        self.shown = _PASSWORD.sub("***", url)
        self._secret = urlsplit(url).password or ""
        self._clock, self._slow_s = clock, slow_s
        self._lock = threading.Lock()
        self.queries = self.slow_queries = self.failures = 0
        self._driver = _driver(url)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Statements that are done together or not at all. Raises InventoryUnavailable."""
        try:
            with self._driver.transaction() as connection:
                yield Transaction(connection, self._driver, self._timed)
        except self._driver.errors as err:
            with self._lock:
                self.failures += 1
            raise InventoryUnavailable(f"inventory {self.shown}: {self._reason(err)}") from None

    def close(self) -> None:
        """End all connections."""
        self._driver.close()

    def _reason(self, err: Exception) -> str:
        line = (str(err).strip() or type(err).__name__).splitlines()[0]
        return line.replace(self._secret, "***") if self._secret else line

    def _timed(self, sql: str, act: Callable[[], Any]) -> Any:
        started = self._clock()
        done = act()
        duration = self._clock() - started
        slow = duration >= self._slow_s
        with self._lock:
            self.queries += 1
            self.slow_queries += slow
        if slow:
            log.warning("slow query duration_s=%.3f statement=%s", duration, " ".join(sql.split()))
        return done


def _driver(url: str) -> Driver:
    scheme = url.partition("://")[0]
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        from exporter.inventory.sqlite import Sqlite

        return Sqlite(url.removeprefix("sqlite:///"))
    if scheme in ("postgresql", "postgres"):
        from exporter.inventory.postgresql import Postgresql

        return Postgresql(url)
    if "://" in url and scheme not in ("sqlite", "postgresql", "postgres"):
        raise ValueError(f"inventory URL: {scheme!r}: must be sqlite or postgresql")
    raise ValueError("inventory URL: must be sqlite:///PATH or postgresql://…")
