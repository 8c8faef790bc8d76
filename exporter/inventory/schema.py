"""The inventory's tables, and how a database comes to have them: migrations by number."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.inventory.database import Transaction

SERVER_COLUMNS = (
    "name",
    "position",  # the order of the fleet
    "role",
    "environment",
    "cores",
    "memory_bytes",
    "disk_bytes",
    "mount",
    "services",  # JSON, as are labels, thresholds and maintenance
    "labels",
    "thresholds",
    "notes",
    "maintenance",
    "made",  # 1 while nobody has written it but the program
    "joined_ms",  # 0 for those that were there from the start
    "left_ms",  # when it left the fleet; what failed on it before is still true
)
INCIDENT_COLUMNS = ("id", "scenario", "targets", "start_ms", "duration_ms", "intensity", "cleared_ms")

_FIRST = (
    """
    CREATE TABLE servers (
        name TEXT NOT NULL PRIMARY KEY,
        position INTEGER NOT NULL,
        role TEXT NOT NULL,
        environment TEXT NOT NULL,
        cores INTEGER NOT NULL,
        memory_bytes BIGINT NOT NULL,
        disk_bytes BIGINT NOT NULL,
        mount TEXT NOT NULL,
        services TEXT NOT NULL,
        labels TEXT NOT NULL,
        thresholds TEXT NOT NULL,
        notes TEXT NOT NULL
    )
    """,
    "CREATE INDEX servers_role_environment ON servers (role, environment)",
    """
    CREATE TABLE incidents (
        id TEXT NOT NULL PRIMARY KEY,
        scenario TEXT NOT NULL,
        targets TEXT NOT NULL,
        start_ms BIGINT NOT NULL,
        duration_ms BIGINT NOT NULL,
        intensity DOUBLE PRECISION NOT NULL,
        cleared_ms BIGINT
    )
    """,
    "CREATE INDEX incidents_start_ms ON incidents (start_ms)",
)

_SECOND = (
    "ALTER TABLE servers ADD COLUMN maintenance TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE servers ADD COLUMN made INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE servers ADD COLUMN joined_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE servers ADD COLUMN left_ms BIGINT",
)

MIGRATIONS: Sequence[Sequence[str]] = (_FIRST, _SECOND)
"""What brings version n to n + 1, at place n. Never change one that was released: add another."""


class SchemaTooNew(Exception):
    """The database was written by a later version of this program."""


def migrate(transaction: Transaction, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """Bring a database to the newest version within the caller's transaction; returns how many steps it took.

    Raises SchemaTooNew.
    """
    if lock := transaction.driver.lock():
        transaction.execute(lock)
    if not transaction.execute(transaction.driver.has_table(), {"name": "schema_version"}):
        transaction.execute("CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY)")
    version = transaction.execute("SELECT max(version) AS version FROM schema_version")[0]["version"] or 0
    if version > len(migrations):
        raise SchemaTooNew(f"schema version {version} is newer than {len(migrations)}, the newest this program knows")
    for number in range(version, len(migrations)):
        for statement in migrations[number]:
            transaction.execute(statement)
        transaction.execute("INSERT INTO schema_version (version) VALUES (:version)", {"version": number + 1})
    return len(migrations) - version


def upsert(table: str, columns: Sequence[str], keep: Sequence[str]) -> str:
    """A statement that inserts a row; one whose key, the first column, is there is replaced but for what to keep."""
    values = ", ".join(f":{column}" for column in columns)
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in keep)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 (our own names)
        f" ON CONFLICT ({columns[0]}) DO UPDATE SET {changed}"
    )
