"""What was decoded, kept while it is asked for: least recently used out first, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows the memory it takes."""

    @property
    def nbytes(self) -> int: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


class ByteCache(Generic[K, V]):
    """An LRU mapping. Thread-safe. What alone is larger than `limit` bytes is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.hits = 0
        self.misses = 0
        self.nbytes = 0
        self._lock = Lock()
        self._stale: set[K] = set()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the most recently used, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._stale.discard(key)
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V) -> None:
        """Keep a value in place of the one before; again after it has grown."""
        size = value.nbytes
        with self._lock:
            self._forget(key)
            self._stale.discard(key)
            if size > self.limit:
                return
            self._kept[key] = (value, size)
            self.nbytes += size
            while self.nbytes > self.limit:
                self._forget(next(iter(self._kept)))

    def forget(self, key: K) -> None:
        """Drop a value that is out of date."""
        with self._lock:
            self._forget(key)

    def sweep(self) -> None:
        """Drop every value that nobody has asked for since the last sweep."""
        with self._lock:
            for key in self._stale:
                self._forget(key)
            self._stale = set(self._kept)

    def clear(self) -> None:
        """Drop every value."""
        self.sweep()
        self.sweep()

    def _forget(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.nbytes -= found[1]
