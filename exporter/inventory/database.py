"""A pooled connection to SQLite or PostgreSQL, with every statement timed and no secret in an error."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

log = logging.getLogger(__name__)

SLOW_S = 0.5


class InventoryUnavailable(Exception):
    """The database cannot be reached or used now; what is in memory can still be read."""


class Database:
    """Transactions on one database. Counts its queries, the slow ones and the failures."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic, slow_s: float = SLOW_S) -> None:
        """url: `sqlite:///PATH` or `postgresql://…`. Connects at the first transaction. Raises ValueError."""
        self._url = _parsed(url)
        self._clock, self._slow_s = clock, slow_s
        self._lock = threading.Lock()
        self.queries = self.slow_queries = self.failures = 0
        self._engine = _engine(self._url)
        event.listen(self._engine, "before_cursor_execute", self._started)
        event.listen(self._engine, "after_cursor_execute", self._finished)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True).replace("+psycopg", "")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, rolled back on any error. Raises InventoryUnavailable."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as err:
            with self._lock:
                self.failures += 1
            raise InventoryUnavailable(f"inventory {self.shown}: {self._reason(err)}") from None

    def close(self) -> None:
        """End all connections."""
        self._engine.dispose()

    def _reason(self, err: SQLAlchemyError) -> str:
        cause = err.orig if isinstance(err, DBAPIError) and err.orig is not None else err
        line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return line.replace(self._url.password, "<secret>") if self._url.password else line

    def _started(self, connection: Connection, *_: Any) -> None:
        connection.info["started"] = self._clock()

    def _finished(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        duration = self._clock() - connection.info["started"]
        slow = duration >= self._slow_s
        with self._lock:
            self.queries += 1
            self.slow_queries += slow
        if slow:
            log.warning("slow query duration_s=%.3f statement=%s", duration, " ".join(statement.split()))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("inventory URL: must be sqlite:///PATH or postgresql://USER@HOST/DATABASE") from None
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise ValueError(f"inventory URL: {parsed.drivername!r}: must be sqlite or postgresql")
    return parsed


def _engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        return _sqlite(url)
    try:
        return create_engine(
            url,
            pool_size=2,
            max_overflow=2,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 3,
                "prepare_threshold": 1,  # prepared on its second use
                "options": "-c statement_timeout=10000",
                "application_name": "openmanager",
            },
        )
    except ModuleNotFoundError:
        raise ValueError("inventory URL: postgresql needs psycopg: install openmanager[postgres]") from None


def _sqlite(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise ValueError(f"inventory {url.database}: {err.strerror}") from None
    engine = create_engine(url, connect_args={"timeout": 5.0, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.connection.cursor().execute("BEGIN IMMEDIATE")  # sqlite3 itself would begin too late for a migration

    return engine
