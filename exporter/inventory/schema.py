"""The inventory's tables, and how a database comes to have them: migrations by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import BigInteger, Column, Connection, Double, Index, Integer, MetaData, Table, Text, inspect, text

metadata = MetaData()

servers = Table(
    "servers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),  # the order of the fleet
    Column("role", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("cores", Integer, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("disk_bytes", BigInteger, nullable=False),
    Column("mount", Text, nullable=False),
    Column("services", Text, nullable=False),  # JSON, as are labels and thresholds
    Column("labels", Text, nullable=False),
    Column("thresholds", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Index("servers_role_environment", "role", "environment"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("scenario", Text, nullable=False),
    Column("targets", Text, nullable=False),  # JSON
    Column("start_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("intensity", Double, nullable=False),
    Column("cleared_ms", BigInteger),
    Index("incidents_start_ms", "start_ms"),
)

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

Migration = Callable[[Connection], None]


def _first(connection: Connection) -> None:
    for table in (servers, incidents):
        table.create(connection)


MIGRATIONS: Sequence[Migration] = (_first,)
"""What brings version n to n + 1, at place n. Never change one that was released: add another."""

_LOCK = 0x6F70656E6D616E  # one program migrates at a time


class SchemaTooNew(Exception):
    """The database was written by a later version of this program."""


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a database to the newest version within the caller's transaction; returns how many steps it took.

    Raises SchemaTooNew.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not inspect(connection).has_table(schema_version.name):
        schema_version.create(connection)
    row = connection.execute(schema_version.select().order_by(schema_version.c.version.desc()).limit(1)).first()
    version = row.version if row else 0
    if version > len(migrations):
        raise SchemaTooNew(f"schema version {version} is newer than {len(migrations)}, the newest this program knows")
    for number in range(version, len(migrations)):
        migrations[number](connection)
        connection.execute(schema_version.insert(), {"version": number + 1})
    return len(migrations) - version
