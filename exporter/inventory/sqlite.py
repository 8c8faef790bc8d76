"""SQLite: a file that is opened for each transaction, so that no thread owns a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Sqlite:
    """The database in a file; its folder is made. Raises ValueError if that cannot be."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    row_lock = ""  # a transaction that begins IMMEDIATE is alone

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise ValueError(f"inventory {path}: {err.strerror}") from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def statement(self, sql: str) -> str:
        return sql

    def lock(self) -> str | None:
        return None

    def has_table(self) -> str:
        return "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"

    def close(self) -> None:
        """Nothing is open between transactions."""
