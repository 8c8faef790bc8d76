"""A store in Redis: `redis://`, `rediss://` (TLS), or a Redis Cluster.

Keys, behind a prefix of their own for each fleet (`openmanager:<fleet>:`):

    logs                    set of log names, "<lane> <part> <start_ms> <run> <metric>"
    log:<log name>          string: the log's bytes
    windows                 set of "<tier_ms> <window_ms>", the blocks: keys there are
    blocks:<tier> <window>  hash: "<part> <metric>" -> block
    segment:<digest>        string
    aside:<name>            string: damaged bytes, for people

Everything but the two sets has a time to live. Frames are put at the offset where they belong (SETRANGE), so a write
that is repeated after a lost answer changes nothing; a log shorter than that offset has lost something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from exporter.storage.store import Append, BlockKey, Log, Sealing, StoreError, UnusableStore

_TIMEOUT_S = 3.0
_BATCH = 100
_ASIDE_TTL_MS = 30 * 86_400_000
_TRUE = ("1", "true", "yes", "on")


class RedisStore:
    """Store in Redis, which need not be there yet. A silent server is waited for `timeout_s`, a cluster's
    silent node a few times as long, however much it is asked."""

    def __init__(self, url: str, fleet: str, timeout_s: float = _TIMEOUT_S) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        prefix = options.pop("prefix", "") or f"openmanager:{fleet}:"
        self._cluster = options.pop("cluster", "").lower() in _TRUE or parts.scheme.endswith("+cluster")
        self._secret = unquote(parts.password or "")
        self._where = f"redis {parts.hostname or 'localhost'}"
        self._prefix = prefix.encode()
        plain = urlunsplit((parts.scheme.removesuffix("+cluster"), parts.netloc, parts.path, urlencode(options), ""))
        self._connect: Callable[[], Any] = lambda: _client(plain, self._cluster, timeout_s)
        self._client: Any = None
        try:
            if not self._cluster:  # a cluster's client asks for its nodes when it is made
                self._client = self._connect()
                pool = self._client.connection_pool
                pool.connection_class(**pool.connection_kwargs)  # connects later, and looks at its options now
        except (ValueError, TypeError) as err:
            raise UnusableStore(f"storage.url: {self._redacted(str(err))}") from None

    def _redacted(self, text: str) -> str:
        return text.replace(self._secret, "<secret>") if self._secret else text

    @contextmanager
    def _named(self) -> Iterator[Any]:
        """The client; what goes wrong with it is a StoreError."""
        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except (redis.RedisError, OSError, ValueError) as err:
            reason = self._redacted(f"{type(err).__name__}: {err}")
            raise StoreError(f"{self._where}: {reason}") from None

    def _key(self, kind: str, name: bytes = b"") -> bytes:
        return self._prefix + kind.encode() + name

    def _pipeline(self, client: Any) -> Any:
        """Commands that go together: all or nothing where there is one server, in any order in a cluster."""
        pipe = client.pipeline(transaction=not self._cluster)
        if self._cluster:
            _give_up_together(pipe)
        return pipe

    def append(self, appends: Sequence[Append], segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> list[Log]:
        with self._named() as client:
            pipe = self._pipeline(client)
            self._put_segments(pipe, segments, ttl_ms)
            for append in appends:
                key = self._key("log:", _log_name(append.log))
                pipe.strlen(key)
                pipe.setrange(key, append.offset, append.data)
                pipe.pexpire(key, ttl_ms)
                if not append.offset:
                    pipe.sadd(self._key("logs"), _log_name(append.log))
            results = iter(pipe.execute()[len(segments) :])
        torn = []
        for append in appends:
            if next(results) < append.offset:
                torn.append(append.log)
            for _ in range(2 if append.offset else 3):
                next(results)
        return torn

    def _put_segments(self, pipe: Any, segments: Mapping[bytes, bytes], ttl_ms: int) -> None:
        for digest, data in segments.items():
            pipe.set(self._key("segment:", digest.hex().encode()), data, px=ttl_ms)

    def replace(self, append: Append, segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> None:
        with self._named() as client:
            pipe = self._pipeline(client)
            self._put_segments(pipe, segments, ttl_ms)
            pipe.set(self._key("log:", _log_name(append.log)), append.data, px=ttl_ms)
            pipe.sadd(self._key("logs"), _log_name(append.log))
            pipe.execute()

    def logs(self) -> list[Log]:
        with self._named() as client:
            return [_log(name) for name in client.smembers(self._key("logs"))]

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        end = -1 if size is None else offset + size - 1
        with self._named() as client:
            return bytes(client.getrange(self._key("log:", _log_name(log)), offset, end))

    def seal(self, sealing: Sealing) -> None:
        with self._named() as client:
            pipe = self._pipeline(client)
            windows = {(key.tier_ms, key.window_ms) for key in sealing.blocks}
            for key, data in sealing.blocks.items():
                pipe.hset(self._window_key(key), _field(key), data)
            for tier, window in windows:
                pipe.pexpire(self._key("blocks:", b"%d %d" % (tier, window)), sealing.ttl_ms)
                pipe.sadd(self._key("windows"), b"%d %d" % (tier, window))
            for digest in sealing.segments:
                pipe.pexpire(self._key("segment:", digest.hex().encode()), sealing.ttl_ms, gt=True)
            if self._cluster:  # a log must not go before its block is there
                pipe.execute()
                pipe = self._pipeline(client)
            self._remove(pipe, sealing.gone, sealing.logs)
            pipe.execute()

    def _remove(self, pipe: Any, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        for key in blocks:
            pipe.hdel(self._window_key(key), _field(key))
        for log in logs:
            pipe.delete(self._key("log:", _log_name(log)))
            pipe.srem(self._key("logs"), _log_name(log))

    def _window_key(self, key: BlockKey) -> bytes:
        return self._key("blocks:", b"%d %d" % (key.tier_ms, key.window_ms))

    def blocks(self) -> list[BlockKey]:
        found = []
        with self._named() as client:
            windows = sorted(client.smembers(self._key("windows")))
            pipe = client.pipeline(transaction=False)
            for window in windows:
                pipe.hkeys(self._key("blocks:", window))
            fields = pipe.execute() if windows else []
            empty = [window for window, names in zip(windows, fields, strict=True) if not names]
            if empty:
                client.srem(self._key("windows"), *empty)
        for window, names in zip(windows, fields, strict=True):
            tier_ms, window_ms = map(int, window.split())
            for name in names:
                part, _, metric = name.partition(b" ")
                found.append(BlockKey(tier_ms, window_ms, metric.decode(), int(part)))
        return found

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        found: list[bytes | None] = []
        with self._named() as client:
            for begin in range(0, len(keys), _BATCH):
                pipe = client.pipeline(transaction=False)
                for key in keys[begin : begin + _BATCH]:
                    pipe.hget(self._window_key(key), _field(key))
                found += pipe.execute()
        return found

    def segment(self, digest: bytes) -> bytes | None:
        with self._named() as client:
            found: bytes | None = client.get(self._key("segment:", digest.hex().encode()))
            return found

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        with self._named() as client:
            pipe = self._pipeline(client)
            self._remove(pipe, blocks, logs)
            pipe.execute()

    def expire_segments(self, now_ms: int) -> None:
        """Redis does that itself, by their time to live."""

    def compact(self) -> None:
        """Redis reuses free memory without being asked."""

    def set_aside(self, name: str, data: bytes) -> None:
        with self._named() as client:
            client.set(self._key("aside:", name.encode()), data, px=_ASIDE_TTL_MS)

    def size(self) -> int:
        """The memory Redis says the keys take; segments excepted, which are few."""
        with self._named() as client:
            names = [self._key("blocks:", window) for window in client.smembers(self._key("windows"))]
            names += [self._key("log:", name) for name in client.smembers(self._key("logs"))]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.memory_usage(name, samples=0)
            return sum(size or 0 for size in (pipe.execute() if names else ()))

    def reopen(self) -> None:
        """Leave connections that may lead to a server that is gone, or no longer the first."""
        client, self._client = self._client, None
        if client is not None:
            self._quietly(client)
        with self._named() as fresh:
            fresh.ping()

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._quietly(client)

    @staticmethod
    def _quietly(client: Any) -> None:
        with suppress(redis.RedisError, OSError):
            client.close()


def _client(url: str, cluster: bool, timeout_s: float) -> Any:
    """A client that tells of every failure at once: whether to try again is decided where it is known what was sent."""
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    if cluster:
        return RedisCluster.from_url(url, **options)
    return redis.Redis.from_url(url, health_check_interval=30, **options)


def _give_up_together(pipe: Any) -> None:
    """Once one command of a cluster's pipeline went unanswered, the others fail with it.

    The client asks again for each that failed, one by one, to follow moved slots; a silent node would be waited for
    with every one of them.
    """
    ask_again = pipe.parent_execute_command
    unanswered: list[redis.RedisError] = []

    def asked_again(*words: Any, **options: Any) -> Any:
        if unanswered:
            raise unanswered[0]
        try:
            return ask_again(*words, **options)
        except (redis.ConnectionError, redis.TimeoutError) as err:
            unanswered.append(err)
            raise

    pipe.parent_execute_command = asked_again


def _log_name(log: Log) -> bytes:
    return f"{log.lane} {log.part} {log.start_ms} {log.run} {log.metric}".encode()


def _log(name: bytes) -> Log:
    lane, part, start_ms, run, metric = name.decode().split(" ", 4)
    return Log(lane, metric, int(part), int(start_ms), run)


def _field(key: BlockKey) -> bytes:
    return f"{key.part} {key.metric}".encode()
