"""What the writer's thread does, piece by piece: send frames, seal finished logs, expire, set damage aside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import RLock

from exporter.storage.block import Block
from exporter.storage.catalog import Catalog
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import IMPORTED, LOG_MS, WINDOW_MS, window_of
from exporter.storage.reading import Reader
from exporter.storage.sealing import belongs, first_key, sealed
from exporter.storage.stats import DAY_MS, Limits
from exporter.storage.store import Append, BlockKey, Log, Sealing, Store

log = logging.getLogger("exporter.storage")

Name = tuple[object, ...]


class Upkeep:
    """Work on the store, for one thread. `lock` guards the catalog and its logs; no write is made under it.

    `newest_ms` is the time of the last tick, `run` the name of this process' logs. Without `tends`, frames are sent and
    nothing is sealed or expired. Methods raise StoreError, and can then be called again.
    """

    def __init__(
        self,
        store: Store,
        reader: Reader,
        catalog: Catalog,
        lock: RLock,
        *,
        limits: Limits,
        newest_ms: Callable[[], int],
        run: str,
        tends: bool,
    ) -> None:
        self._run = run
        self._tends = tends
        self.torn = 0
        self.stored_bytes = 0
        self.aside: dict[Name, bytes] = {}
        self.expire_before: int | None = None
        self._store = store
        self._reader = reader
        self._catalog = catalog
        self._lock = lock
        self._limits = limits
        self._newest_ms = newest_ms
        self._unsealable: set[Log] = set()
        self._unmeasured = True

    def step(self) -> bool:
        """One piece of work, the most urgent first; whether there was one."""
        if self._send() or self._set_aside():
            return True
        return self._tends and (self._expire() or self._seal_one() or self._measure())

    @property
    def busy(self) -> bool:
        """Whether something waits that must not be forgotten."""
        return bool(self.aside) or (self._tends and self.expire_before is not None)

    # -- sending

    def _send(self) -> bool:
        batch = self._batch()
        try:
            return bool(batch) and self._send_batch(batch)
        finally:
            with self._lock:
                for growing, _ in batch:
                    growing.in_flight = False

    def _send_batch(self, batch: Sequence[tuple[GrowingLog, Append]]) -> bool:
        segments: dict[bytes, bytes] = {}
        with self._lock:
            for growing, _ in batch:
                segments.update(growing.unsent_segments())
        appends = [append for _, append in batch]
        torn = set(self._store.append(appends, segments, self._newest_ms(), self._segment_ttl_ms))
        with self._lock:
            for growing, append in batch:
                if growing.log not in torn:
                    growing.acknowledge(len(append.data), segments)
        for growing, _ in batch:
            if growing.log in torn:
                self._repair(growing)
        with self._lock:
            self._catalog.retire()
        return True

    def _batch(self) -> list[tuple[GrowingLog, Append]]:
        found: list[tuple[GrowingLog, Append]] = []
        size = 0
        with self._lock:
            for growing in self._catalog.growing():
                append = growing.next_append()
                if append is not None:
                    growing.in_flight = True
                    found.append((growing, append))
                    size += len(append.data)
                if size > self._limits.batch_bytes:
                    break
        return found

    def _repair(self, growing: GrowingLog) -> None:
        """The store has lost some of a log: give it all that memory has."""
        self.torn += 1
        with self._lock:
            data, segments = growing.all_unsent(), dict(growing.segments)
        log.warning("store has lost samples, written again from memory log=%s bytes=%d", growing.log, len(data))
        self._store.replace(Append(growing.log, 0, data), segments, self._newest_ms(), self._segment_ttl_ms)
        with self._lock:
            growing.acknowledge(len(data), segments)

    @property
    def _ttl_ms(self) -> int:
        return self._limits.retention_ms + 2 * WINDOW_MS

    @property
    def _segment_ttl_ms(self) -> int:
        return self._ttl_ms + DAY_MS

    # -- damage

    def _set_aside(self) -> bool:
        with self._lock:
            name = next(iter(self.aside), None)
            data = self.aside.get(name, b"") if name else b""
        if name is None:
            return False
        self._store.set_aside(shown(name), data)
        if isinstance(name, BlockKey):
            self._store.remove([name], ())
        with self._lock:
            self.aside.pop(name, None)
        return True

    # -- sealing

    def _seal_one(self) -> bool:
        """Seal what is done of one part of one metric in one window, the oldest: into the block there is already."""
        with self._lock:
            waiting = [name for name in self._catalog.stored_logs() if self._to_seal(name)]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda name: name.start_ms)
        together = [name for name in waiting if _place(name) == _place(oldest)]
        part = None if oldest.lane == IMPORTED else oldest.part
        first = first_key(oldest.metric, window_of(oldest.start_ms), part)
        try:
            self._seal(first, together)
        except ArithmeticError as err:
            log.error("window stays unsealed block=%s err=%s", shown(first), err)
            self._unsealable.update(together)
        self._unmeasured = True
        return True

    def _to_seal(self, name: Log) -> bool:
        """Whether nobody writes to this log any more."""
        own = name.run.partition(".")[0] == self._run
        ended = name.start_ms + 2 * LOG_MS <= self._newest_ms()
        return (own or ended) and name not in self._unsealable

    def _seal(self, first: BlockKey, logs: Sequence[Log]) -> None:
        with self._lock:
            keys = self._catalog.blocks(first.metric, first.window_ms, first.window_ms)
            before = [key for key in keys if belongs(key, first)]
        pieces: list[Block] = list(self._reader.sealed(before).values())
        for name in sorted(logs, key=lambda each: (each.start_ms, each.run)):
            pieces += self._reader.stored(name, keep=False)
        made = sealed(pieces, first, self._reader.segment)
        named = frozenset(run.segment for piece in pieces for run in piece.runs)
        gone = [key for key in before if key not in made]
        self._store.seal(Sealing(made, gone, logs, named, self._ttl_ms))
        self._sealed(made, gone, logs)

    def _sealed(self, made: Mapping[BlockKey, bytes], gone: Sequence[BlockKey], logs: Sequence[Log]) -> None:
        with self._lock:
            self._catalog.add(made)
            self._catalog.remove(gone, logs)
            self._reader.forget([*gone, *logs])
            self._reader.hold(made)

    # -- expiry

    def _expire(self) -> bool:
        if self.expire_before is None:
            return False
        edge = self.expire_before
        names = self._store.blocks(), self._store.logs()
        with self._lock:
            self._catalog.add(*names)  # another process may have imported something
            blocks = [key for key in self._catalog.all_blocks() if key.window_ms + WINDOW_MS <= edge]
            logs = [name for name in self._catalog.stored_logs() if window_of(name.start_ms) + WINDOW_MS <= edge]
        if blocks or logs:
            self._store.remove(blocks, logs)
            self._store.expire_segments(edge + self._limits.retention_ms)
            with self._lock:
                self._catalog.remove(blocks, logs)
                self._reader.forget([*blocks, *logs])
        with self._lock:
            self.expire_before = None
        self._unmeasured = True
        return True

    def _measure(self) -> bool:
        """When all is sealed: give freed space back, and see what is left."""
        if self._unmeasured:
            self._store.compact()
            self.stored_bytes = self._store.size()
            self._unmeasured = False
        return False


def _place(name: Log) -> tuple[str, str, int, int]:
    return name.lane, name.metric, name.part, window_of(name.start_ms)


def shown(name: Name) -> str:
    """A name of a block, log or segment for people."""
    return "/".join(map(str, name))
