"""A store in one SQLite file: WAL, one connection that writes, one for each thread that reads.

    logs      id, lane, metric, part, start_ms, run                      a log's name
    frames    (log, start) -> data                                       a log's bytes from its byte `start` on
    blocks    id, (tier_ms, window_ms, metric, part) -> data
    segments  digest -> until_ms, data                                   when nobody will need it any more
    aside     name -> data                                               damaged bytes, for people

All of a log's frames stand together, so it is read and taken away as one range. Pages are small, because each tick
touches one in every log.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from exporter.storage.store import Append, BlockKey, Log, Sealing, StoreError, UnusableStore

APPLICATION_ID = 0x4F4D5453  # "OMTS"
VERSION = 1
_PAGE_SIZE = 1024  # blocks of a few kB waste half a page at their end; a tick rewrites a page in every log
_BUSY_S = 5.0

_SCHEMA = """
CREATE TABLE logs (id INTEGER PRIMARY KEY, lane TEXT, metric TEXT, part INTEGER, start_ms INTEGER, run TEXT,
                   UNIQUE (lane, metric, part, start_ms, run));
CREATE TABLE frames (log INTEGER, start INTEGER, data BLOB, PRIMARY KEY (log, start)) WITHOUT ROWID;
CREATE TABLE blocks (id INTEGER PRIMARY KEY, tier_ms INTEGER, window_ms INTEGER, metric TEXT, part INTEGER, data BLOB,
                     UNIQUE (tier_ms, window_ms, metric, part));
CREATE TABLE segments (digest BLOB PRIMARY KEY, until_ms INTEGER, data BLOB);
CREATE TABLE aside (name TEXT PRIMARY KEY, data BLOB);
"""

_PUT_SEGMENT = """INSERT INTO segments VALUES (?, ?, ?)
    ON CONFLICT (digest) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)"""
_DELETE_BLOCK = "DELETE FROM blocks WHERE tier_ms = ? AND window_ms = ? AND metric = ? AND part = ?"


class SqliteStore:
    """Store in a file; its folder is made. Raises UnusableStore where the file cannot be one of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._ids: dict[Log, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_ours(path)  # before anything is written to it
            self._prepare()
        except OSError as err:
            raise UnusableStore(f"{path}: {err.strerror}") from None
        except sqlite3.DatabaseError as err:
            if isinstance(err, sqlite3.OperationalError) and "locked" in str(err):
                return  # someone has it now, and will let go
            raise UnusableStore(f"{path}: {err}") from None

    def _prepare(self) -> None:
        (tables,) = self._connection().execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            with self._transaction() as writing:
                for statement in _SCHEMA.split(";"):
                    writing.execute(statement)
                writing.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                writing.execute(f"PRAGMA user_version = {VERSION}")

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            found.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            found.execute("PRAGMA auto_vacuum = INCREMENTAL")
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = NORMAL")
            found.execute("PRAGMA cache_size = -1024")
            found.execute("PRAGMA journal_size_limit = 4194304")
            with self._guard:
                self._all.append(found)
            self._local.connection = found
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._ids.clear()
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as err:
            raise StoreError(f"{self._path}: {err}") from err

    def append(self, appends: Sequence[Append], segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> list[Log]:
        until_ms = now_ms + ttl_ms
        with self._named(), self._transaction() as writing:
            writing.executemany(_PUT_SEGMENT, [(digest, until_ms, data) for digest, data in segments.items()])
            writing.executemany(
                "INSERT OR REPLACE INTO frames VALUES (?, ?, ?)",
                [(self._id(writing, append.log), append.offset, append.data) for append in appends],
            )
        return []  # what is committed stays

    def _id(self, connection: sqlite3.Connection, log: Log) -> int:
        """A log's number; a log that has none gets one."""
        found = self._ids.get(log)
        if found is None:
            connection.execute(
                "INSERT OR IGNORE INTO logs (lane, metric, part, start_ms, run) VALUES (?, ?, ?, ?, ?)", log
            )
            found = _log_id(connection, log)
            assert found is not None
            self._ids[log] = found
        return found

    def replace(self, append: Append, segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> None:
        until_ms = now_ms + ttl_ms
        with self._named(), self._transaction() as writing:
            writing.executemany(_PUT_SEGMENT, [(digest, until_ms, data) for digest, data in segments.items()])
            number = self._id(writing, append.log)
            writing.execute("DELETE FROM frames WHERE log = ?", (number,))
            writing.execute("INSERT INTO frames VALUES (?, 0, ?)", (number, append.data))

    def logs(self) -> list[Log]:
        with self._named():
            rows = self._connection().execute("SELECT lane, metric, part, start_ms, run FROM logs")
            return [Log(*row) for row in rows]

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        with self._named():
            connection = self._connection()
            number = _log_id(connection, log)
            rows = connection.execute("SELECT data FROM frames WHERE log = ? ORDER BY start", (number,))
            data = b"".join(row[0] for row in rows)
        return data[offset : None if size is None else offset + size]

    def seal(self, sealing: Sealing) -> None:
        with self._named(), self._transaction() as writing:
            writing.executemany(
                "INSERT OR REPLACE INTO blocks (tier_ms, window_ms, metric, part, data) VALUES (?, ?, ?, ?, ?)",
                [(*key, data) for key, data in sealing.blocks.items()],
            )
            writing.executemany(_DELETE_BLOCK, sealing.gone)
            until_ms = max((key.window_ms for key in sealing.blocks), default=0) + sealing.ttl_ms
            writing.executemany(
                "UPDATE segments SET until_ms = max(until_ms, ?) WHERE digest = ?",
                [(until_ms, digest) for digest in sealing.segments],
            )
            self._remove_logs(writing, sealing.logs)

    def _remove_logs(self, writing: sqlite3.Connection, logs: Iterable[Log]) -> None:
        for log in logs:
            number = _log_id(writing, log)
            self._ids.pop(log, None)
            if number is not None:
                writing.execute("DELETE FROM frames WHERE log = ?", (number,))
                writing.execute("DELETE FROM logs WHERE id = ?", (number,))

    def blocks(self) -> list[BlockKey]:
        with self._named():
            rows = self._connection().execute("SELECT tier_ms, window_ms, metric, part FROM blocks")
            return [BlockKey(*row) for row in rows]

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        query = "SELECT data FROM blocks WHERE tier_ms = ? AND window_ms = ? AND metric = ? AND part = ?"
        with self._named():
            connection = self._connection()
            rows = [connection.execute(query, key).fetchone() for key in keys]
        return [None if row is None else row[0] for row in rows]

    def segment(self, digest: bytes) -> bytes | None:
        with self._named():
            row = self._connection().execute("SELECT data FROM segments WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else row[0]

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        with self._named(), self._transaction() as writing:
            writing.executemany(_DELETE_BLOCK, list(blocks))
            self._remove_logs(writing, logs)

    def expire_segments(self, now_ms: int) -> None:
        with self._named(), self._transaction() as writing:
            writing.execute("DELETE FROM segments WHERE until_ms < ?", (now_ms,))

    def compact(self) -> None:
        with self._named():
            self._connection().executescript("PRAGMA incremental_vacuum")  # execute() would free one page

    def set_aside(self, name: str, data: bytes) -> None:
        with self._named(), self._transaction() as writing:
            writing.execute("INSERT OR REPLACE INTO aside VALUES (?, ?)", (name, data))

    def size(self) -> int:
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += Path(f"{self._path}{suffix}").stat().st_size
        return total

    def reopen(self) -> None:
        """A connection that failed once works again when its cause is gone; only a half-made file needs making."""
        with self._named():
            self._prepare()

    def close(self) -> None:
        with self._guard:
            for connection in self._all:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            self._all.clear()


def _check_ours(path: Path) -> None:
    """Raises UnusableStore where the file is not empty and not of this program and format."""
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and mark != APPLICATION_ID:
        raise UnusableStore(f"{path}: a database of another program")
    if tables and version != VERSION:
        raise UnusableStore(f"{path}: written in format {version}, this program reads format {VERSION}")


def _log_id(connection: sqlite3.Connection, log: Log) -> int | None:
    row = connection.execute(
        "SELECT id FROM logs WHERE lane = ? AND metric = ? AND part = ? AND start_ms = ? AND run = ?", log
    ).fetchone()
    return None if row is None else int(row[0])
