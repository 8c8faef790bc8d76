"""PostgreSQL through psycopg: pooled connections, statements prepared on their second use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_MIGRATION_LOCK = 0x6F70656E6D616E  # one program migrates at a time
_LARGEST_POOL = 4
_WAIT_S = 3.0


class Postgresql:
    """The database at a URL. Raises ValueError where the driver is not installed."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            from psycopg_pool import ConnectionPool, PoolTimeout
        except ModuleNotFoundError:
            raise ValueError("inventory URL: postgresql needs psycopg: install openmanager[postgres]") from None
        self.errors: tuple[type[Exception], ...] = (psycopg.Error, PoolTimeout)
        self._url = url
        self._connect = psycopg.connect
        self._options = {
            "connect_timeout": int(_WAIT_S),
            "prepare_threshold": 1,
            "options": "-c statement_timeout=10000",
            "application_name": "openmanager",
        }
        self._pool = ConnectionPool(
            url,
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
            self._connect(self._url, **self._options).close()  # type: ignore[arg-type]  # options of libpq
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
