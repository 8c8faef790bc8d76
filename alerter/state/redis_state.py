"""State kept in Redis: one hash for each kind, one sorted set for the history, every flush one MULTI.

<prefix>:rule, :told, :silence, :note             hash  key -> msgpack, or text
<prefix>:mark                                     text, there as long as the rest is
<prefix>:history                                  zset  score t -> 8-byte sequence number + msgpack
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from alerter.state.lease import LEADER_KEY
from alerter.state.state import Changes, Key, Kind, StoreError

_TIMEOUT_S = 5.0
_UNIQUE = 8


class RedisKeeper:
    """A Keeper behind a `redis://` or `rediss://` URL. It connects when it is first used.

    It writes only while nobody else than `name` leads; without a name it always does.
    """

    def __init__(self, url: str, name: str = "", prefix: str = "openmanager:alerter") -> None:
        self._prefix = prefix
        self._holder = name.encode()
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
        )
        self._numbers = itertools.count(int.from_bytes(os.urandom(6)))  # equal lines must not fall together

    @contextmanager
    def _said(self) -> Iterator[Any]:
        try:
            yield self._client
        except redis.RedisError as err:
            raise StoreError(f"redis: {type(err).__name__}: {_without_url(err)}") from None

    def _name(self, what: str) -> str:
        return f"{self._prefix}:{what}"

    def read(self) -> dict[Key, bytes]:
        """Every entry."""
        entries: dict[Key, bytes] = {}
        with self._said() as client:
            for kind in Kind:
                for key, value in client.hgetall(self._name(kind)).items():
                    entries[kind, key.decode("utf-8", "replace")] = value
        return entries

    def write(self, changes: Changes, history: Sequence[tuple[float, bytes]]) -> bool:
        """One MULTI … EXEC. A mark beside the entries tells whether the server was started again without them."""
        lines = {self._unique(line): t for t, line in history}
        with self._said() as client, client.pipeline(transaction=True) as pipe:
            while True:
                try:
                    self._watch_leader(pipe)
                    self._queue(pipe, changes, lines)
                    return pipe.execute()[-1] is not None
                except redis.WatchError:  # the lease was renewed meanwhile
                    continue

    def _watch_leader(self, pipe: Any) -> None:
        """From here on nothing is written if another one takes the lead. Raises StoreError where one has it."""
        if not self._holder:
            return
        pipe.watch(LEADER_KEY)
        if pipe.get(LEADER_KEY) not in (None, self._holder):
            raise StoreError("redis: another alerter leads")
        pipe.multi()

    def _queue(self, pipe: Any, changes: Changes, lines: Mapping[bytes, float]) -> None:
        for (kind, key), value in changes.items():
            if value is None:
                pipe.hdel(self._name(kind), key)
            else:
                pipe.hset(self._name(kind), key, value)
        if lines:
            pipe.zadd(self._name("history"), lines)
        pipe.getset(self._name("mark"), b"1")

    def _unique(self, line: bytes) -> bytes:
        return next(self._numbers).to_bytes(_UNIQUE) + line

    def history(self, start: float, end: float, limit: int) -> list[bytes]:
        """Newest first."""
        with self._said() as client:
            lines = client.zrevrangebyscore(self._name("history"), end, start, start=0, num=limit)
        return [line[_UNIQUE:] for line in lines]

    def prune(self, before: float) -> None:
        """Forget history older than this."""
        with self._said() as client:
            client.zremrangebyscore(self._name("history"), "-inf", f"({before}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _without_url(err: redis.RedisError) -> str:
    """What the server or socket said; client errors never hold the URL, replies never the password."""
    return str(err).splitlines()[0][:200] if str(err) else "no reason given"
