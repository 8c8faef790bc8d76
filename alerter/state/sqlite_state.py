"""State kept in one SQLite file (WAL): every flush is one transaction that is on disk when it returns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alerter.state.state import Changes, Key, Kind, StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
                                    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (t REAL NOT NULL, line BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS history_t ON history (t);
"""


class SqliteKeeper:
    """A Keeper in a file. Raises StoreError when the file cannot be opened or made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        except OSError as err:
            raise StoreError(f"{path}: {err.strerror or type(err).__name__}") from None
        except sqlite3.Error as err:
            raise StoreError(f"{path}: {err}") from None

    @contextmanager
    def _said(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.Error as err:
            raise StoreError(f"{self.path}: {err}") from None

    def read(self) -> dict[Key, bytes]:
        """Every entry of a known kind."""
        kinds = set(Kind)
        with self._said() as connection:
            rows = connection.execute("SELECT kind, key, value FROM entries").fetchall()
        return {(Kind(kind), key): value for kind, key, value in rows if kind in kinds}

    def write(self, changes: Changes, history: Sequence[tuple[float, bytes]]) -> bool:
        """One transaction."""
        put = [(kind, key, value) for (kind, key), value in changes.items() if value is not None]
        gone = [key for key, value in changes.items() if value is None]
        with self._said() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", put)
                connection.executemany("DELETE FROM entries WHERE kind = ? AND key = ?", gone)
                connection.executemany("INSERT INTO history VALUES (?, ?)", history)
                connection.execute("COMMIT")
            except BaseException:  # whatever it was, an open transaction would lock the file
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return True

    def history(self, start: float, end: float, limit: int) -> list[bytes]:
        """Newest first."""
        query = "SELECT line FROM history WHERE t BETWEEN ? AND ? ORDER BY t DESC, rowid DESC LIMIT ?"
        with self._said() as connection:
            return [line for (line,) in connection.execute(query, (start, end, limit))]

    def prune(self, before: float) -> None:
        """Forget history older than this."""
        with self._said() as connection:
            connection.execute("DELETE FROM history WHERE t < ?", (before,))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
