"""A store by its URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from exporter.storage.memory import MemoryStore
from exporter.storage.sqlite import SqliteStore
from exporter.storage.store import Store, UnusableStore

REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")


def open_store(url: str, fleet: str = "default") -> Store:
    """The store behind `sqlite:///PATH` (four slashes: absolute), `redis://…`, `rediss://…` or `memory:`.

    A Redis need not be there yet. `fleet` keeps fleets that share a Redis apart; `?prefix=` in its URL does it by hand,
    `?cluster=true` or the scheme `redis+cluster` says that it is a Redis Cluster.
    Raises UnusableStore, whose message holds no password.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        if not rest.startswith("///") or len(rest) == 3:
            raise UnusableStore(
                "storage.url: sqlite: the URL is sqlite:///PATH, with four slashes where PATH is absolute"
            )
        return SqliteStore(Path(unquote(rest[3:])))
    if scheme in REDIS_SCHEMES:
        from exporter.storage.redis import RedisStore  # 7 MB that only those pay who use it

        return RedisStore(url, fleet)
    raise UnusableStore(f"storage.url: scheme {scheme!r} is none of sqlite, redis, rediss and memory")
