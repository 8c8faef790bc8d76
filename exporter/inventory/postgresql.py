"""PostgreSQL through psycopg: pooled connections, statements prepared on their second use, every wait bounded."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_MIGRATION_LOCK = 0x6F70656E6D616E  # one program migrates at a time
_LARGEST_POOL = 4
_WAIT_S = 3.0
_STATEMENT_S = 5.0


class Postgresql:
    """The database at a URL. Raises ValueError where the driver is not installed."""

    row_lock = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            from psycopg_pool import ConnectionPool, PoolTimeout
        except ModuleNotFoundError:
            raise ValueError("inventory URL: postgresql needs psycopg: install openmanager[postgres]") from None
        self.errors: tuple[type[Exception], ...] = (psycopg.Error, PoolTimeout)
        self._url = url
        self._connection = _impatient(psycopg.Connection)
        self._options = {
            "connect_timeout": int(_WAIT_S),
            "prepare_threshold": 1,
            "options": f"-c statement_timeout={_STATEMENT_S * 1000:.0f}",
            "application_name": "openmanager",
        }
        self._pool = ConnectionPool(
            url,
            connection_class=self._connection,
            kwargs=self._options,
            min_size=0,
            max_size=_LARGEST_POOL,
            timeout=_WAIT_S,
            check=ConnectionPool.check_connection,
            open=False,
        )
        self._timeout = PoolTimeout

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        self._pool.open()
        try:
            pooled = self._pool.connection()
            connection = pooled.__enter__()
        except self._timeout:
            # the pool only says that it waited: a connection of our own says why
            self._connection.connect(self._url, **self._options).close()
            raise
        try:
            yield connection
        except BaseException as err:
            pooled.__exit__(type(err), err, err.__traceback__)
            raise
        pooled.__exit__(None, None, None)

    def statement(self, sql: str) -> str:
        return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))

    def lock(self) -> str | None:
        return f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"

    def has_table(self) -> str:
        return "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = :name"

    def close(self) -> None:
        self._pool.close()


def _impatient(connection: Any) -> Any:
    """The same class of connection, but no wait is endless: a server that is stopped answers nothing, not even no."""

    class Impatient(connection):  # type: ignore[misc]  # psycopg is there only where it is used
        def wait(self, waiting: Generator[Any, Any, Any], *args: Any, **named: Any) -> Any:
            try:
                return super().wait(_within(waiting, _STATEMENT_S + 1.0), *args, **named)
            except TimeoutError as err:
                self.close()  # what it was asked may still come: nobody else is to get it
                raise psycopg.OperationalError(str(err)) from None

    import psycopg

    return Impatient


def _within(waiting: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """The same steps for psycopg's loop, which takes one at least every 0.1 s. Raises TimeoutError after some time."""
    deadline = time.monotonic() + seconds
    try:
        asked = next(waiting)
        while True:
            ready = yield asked
            if not ready and time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {seconds:g} s")
            asked = waiting.send(ready)
    except StopIteration as done:
        return done.value
