"""Of all processes, one writes to a SQLite store: it holds the file beside it for as long as it lives."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote


class StoreHeld(Exception):
    """Another process writes to this store."""


@contextlib.contextmanager
def held(url: str) -> Iterator[None]:
    """Writes to the store behind this URL are for this process alone. Raises StoreHeld.

    The hold is an exclusive transaction that is never written to, on an empty file `PATH.hold`: the system lets go of
    it when the process dies, however it dies. Stores that several machines may reach are not held.
    """
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        yield
        return
    file = Path(unquote(path) + ".hold")
    with contextlib.suppress(OSError):  # the store itself says what is wrong with its folder
        file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(_connection(file)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as err:
            if "locked" in str(err):
                raise StoreHeld(f"{unquote(path)}: another process writes to it") from None
        yield


def _connection(file: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(file, timeout=0, isolation_level=None)
    except sqlite3.OperationalError:  # the store itself says what is wrong with its folder
        return sqlite3.connect(":memory:")
