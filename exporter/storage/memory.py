"""A store in this process' memory: gone with it, and never away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from exporter.storage.store import Append, BlockKey, Log, Sealing


class MemoryStore:
    """Store of dictionaries."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._logs: dict[Log, bytearray] = {}
        self._blocks: dict[BlockKey, bytes] = {}
        self._segments: dict[bytes, bytes] = {}
        self._until_ms: dict[bytes, int] = {}
        self._aside: dict[str, bytes] = {}

    def append(self, appends: Sequence[Append], segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> list[Log]:
        torn = []
        with self._lock:
            self._segments.update(segments)
            self._wanted(segments, now_ms + ttl_ms)
            for append in appends:
                log = self._logs.get(append.log, bytearray())
                if len(log) < append.offset:
                    torn.append(append.log)
                    continue
                log[append.offset : append.offset + len(append.data)] = append.data
                self._logs[append.log] = log
        return torn

    def _wanted(self, digests: Iterable[bytes], until_ms: int) -> None:
        for digest in digests:
            self._until_ms[digest] = max(until_ms, self._until_ms.get(digest, until_ms))

    def replace(self, append: Append, segments: Mapping[bytes, bytes], now_ms: int, ttl_ms: int) -> None:
        with self._lock:
            self._segments.update(segments)
            self._wanted(segments, now_ms + ttl_ms)
            self._logs[append.log] = bytearray(append.data)

    def logs(self) -> list[Log]:
        with self._lock:
            return list(self._logs)

    def read(self, log: Log, offset: int = 0, size: int | None = None) -> bytes:
        with self._lock:
            return bytes(self._logs.get(log, b"")[offset : None if size is None else offset + size])

    def seal(self, sealing: Sealing) -> None:
        with self._lock:
            self._blocks.update(sealing.blocks)
            self._wanted(sealing.segments, max((key.window_ms for key in sealing.blocks), default=0) + sealing.ttl_ms)
            for key in sealing.gone:
                self._blocks.pop(key, None)
            for log in sealing.logs:
                self._logs.pop(log, None)

    def blocks(self) -> list[BlockKey]:
        with self._lock:
            return list(self._blocks)

    def read_blocks(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        with self._lock:
            return [self._blocks.get(key) for key in keys]

    def segment(self, digest: bytes) -> bytes | None:
        with self._lock:
            return self._segments.get(digest)

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        with self._lock:
            for key in blocks:
                self._blocks.pop(key, None)
            for log in logs:
                self._logs.pop(log, None)

    def expire_segments(self, now_ms: int) -> None:
        with self._lock:
            for digest in [digest for digest, until_ms in self._until_ms.items() if until_ms < now_ms]:
                self._segments.pop(digest, None)
                self._until_ms.pop(digest)

    def compact(self) -> None:
        pass

    def set_aside(self, name: str, data: bytes) -> None:
        with self._lock:
            self._aside[name] = data

    def size(self) -> int:
        with self._lock:
            parts = (self._logs.values(), self._blocks.values(), self._segments.values(), self._aside.values())
            return sum(len(data) for part in parts for data in part)

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass
