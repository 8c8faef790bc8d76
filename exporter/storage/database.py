"""The door of the storage: samples go in tick by tick, and come out by matchers and time."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock

from exporter.model import METRIC_NAME, Family, Labels, Matcher, SeriesSet, Snapshot
from exporter.storage.block import Block
from exporter.storage.cache import ByteCache
from exporter.storage.catalog import Catalog
from exporter.storage.growing import GrowingLog
from exporter.storage.head import Head
from exporter.storage.layout import IMPORTED, IMPORTED_PART, WINDOW_MS, window_of
from exporter.storage.merging import Piece, Roster, merged
from exporter.storage.reading import Reader, groups_of
from exporter.storage.recovery import last_snapshot
from exporter.storage.sealing import belongs, first_key, sealed
from exporter.storage.segment import Segment
from exporter.storage.store import Append, BlockKey, Log, Sealing, Store, StoreError
from exporter.storage.threshold import DeadBand
from exporter.storage.writer import FIRST_RETRY_S, Writer

log = logging.getLogger("exporter.storage")

DAY_MS = 86_400_000
_RAW_BYTES = 16  # a time and a value, 8 bytes each


@dataclass(frozen=True, slots=True)
class Limits:
    """How long samples are kept, and how much memory may be used for what."""

    retention_ms: int = 7 * DAY_MS
    cache_bytes: int = 8 << 20
    frames_bytes: int = 16 << 20
    """Frames the store has are kept in memory up to this, to answer without asking it."""
    pending_bytes: int = 64 << 20
    """Frames that the store has not are kept up to this; beyond it the oldest are lost."""
    batch_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Stats:
    """Plain counters since the start, and sizes now. Sizes are bytes."""

    series: int
    samples_appended: int
    samples_imported: int
    samples_lost: int
    frame_bytes: int
    raw_bytes: int
    stored_bytes: int
    pending_bytes: int
    memory_bytes: int
    cache_bytes: int
    cache_hits: int
    cache_misses: int
    logs: int
    blocks: int
    store_errors: int
    outages: int
    store_away: bool
    refused_ticks: int
    quarantined: int
    torn_logs: int
    largest_error_percent: float


class Database:
    """Keeps samples in a store and answers from it. Thread-safe.

    `append` and `ingest` only encode; a thread of its own brings the frames to the store, and they stay in memory
    until it has acknowledged them. Whether the store is there or not, what was appended can be selected.
    `interval_ms` is the fleet's tick. `protected` maps metrics to the thresholds that `threshold_percent` must not
    move values across.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval_ms: int = 15_000,
        limits: Limits | None = None,
        threshold_percent: float = 0.0,
        protected: Mapping[str, Sequence[float]] | None = None,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._lock = RLock()
        self._dead_band = DeadBand(threshold_percent, dict(protected or {}))
        self._catalog = Catalog()
        self._reader = Reader(store, ByteCache(self._limits.cache_bytes), self._damaged)
        self._cache = self._reader.cache
        self._head = Head(secrets.token_hex(4), interval_ms, self._dead_band, self._grown)
        self._latest: Snapshot | None = None
        self._last_ms = -(2**62)
        self._loaded = False
        self._series = self._appended = self._imported = self._lost = 0
        self._frame_bytes = self._refused = self._torn = self._stored_bytes = 0
        self._aside: dict[str, bytes] = {}
        self._quarantined: set[str] = set()
        self._unsealable: set[Log] = set()
        self._growing: list[GrowingLog] = []
        self._tasks: list[Callable[[], None]] = []
        self._writer = Writer(self._step, store.reopen, first_retry_s=first_retry_s)
        self._try_to_load()
        self._writer.start()

    # -- what goes in

    def append(self, snapshot: Snapshot) -> None:
        """Keep one tick. One that is not later than the last one is refused, and counted."""
        with self._lock:
            if snapshot.t_ms <= self._last_ms:
                self._refused += 1
                log.warning(
                    "tick refused, it is not later than the last t_ms=%d last_ms=%d", snapshot.t_ms, self._last_ms
                )
                return
            samples, written = self._head.append(snapshot)
            self._latest, self._last_ms = snapshot, snapshot.t_ms
            self._series = samples
            self._appended += samples
            self._frame_bytes += written
            self._bound_memory()
        self._writer.wake()

    def ingest(self, sets: Sequence[SeriesSet], families: Iterable[Family] = ()) -> int:
        """Keep samples from elsewhere, of any time within the retention. Returns how many they are.

        A sample at the time of one that is there takes its place, unless that is the fleet's own.
        """
        with self._lock:
            count = self._head.ingest(sets, {family.name: family for family in families})
            self._imported += count
            self._bound_memory()
        self._writer.wake()
        return count

    def protect(self, protected: Mapping[str, Sequence[float]]) -> None:
        """From now on these are the thresholds that no value is moved across, by metric."""
        self._dead_band.protected = dict(protected)

    def _grown(self, growing: GrowingLog, segments: Iterable[Segment]) -> None:
        self._reader.remember(segments)
        self._catalog.add_log(growing.log, growing)
        if growing not in self._growing:
            self._growing.append(growing)

    def _bound_memory(self) -> None:
        held = sum(growing.held for growing in self._growing)
        if held > self._limits.frames_bytes:
            held -= self._shed(held - self._limits.frames_bytes, unsent=False)
        if held > self._limits.pending_bytes:
            self._shed(held - self._limits.pending_bytes, unsent=True)

    def _shed(self, wanted: int, *, unsent: bool) -> int:
        freed = 0
        for growing in sorted(self._growing, key=lambda each: each.log.start_ms):
            while freed < wanted:
                size, lost = growing.shed(unsent=unsent)
                if not size:
                    break
                freed += size
                if lost and not self._lost:
                    log.error(
                        "samples lost, the store was away for too long pending_bytes=%d", self._limits.pending_bytes
                    )
                self._lost += lost
        return freed

    # -- what comes out

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """See Queryable. Raises StoreError where the store is needed and away."""
        found: list[SeriesSet] = []
        for metric in self._metrics(matchers):
            roster = Roster(matchers, self._reader.segment)
            pieces = self._pieces(metric, start_ms, end_ms)
            found += merged(pieces, roster, start_ms, end_ms)
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """See Queryable. Raises StoreError where the store is needed and away."""
        found: list[Labels] = []
        for metric in self._metrics(matchers):
            roster = Roster(matchers, self._reader.segment)
            for piece in self._pieces(metric, start_ms, end_ms):
                roster.of(piece.block)
            found += [roster.labels(number) for number in range(len(roster))]
        return found

    def families(self) -> Mapping[str, Family]:
        """See Queryable."""
        known = {segment.index.metric: segment.index.family for segment in self._reader.known_segments()}
        with self._lock:
            unknown = self._catalog.metrics() - known.keys()
            newest = {metric: self._catalog.blocks(metric, -(2**62), 2**62)[-1:] for metric in unknown}
        for metric, keys in newest.items():
            for block in self._reader.sealed(keys):
                for segment in filter(None, (self._reader.segment(run.segment) for run in block.runs)):
                    known[metric] = segment.index.family
        return {family.name: family for family in known.values()}

    def latest(self) -> Snapshot | None:
        """The last tick kept, by this run or the one before; None where there is none, or it is not known yet."""
        with self._lock:
            return self._latest

    def _metrics(self, matchers: Sequence[Matcher]) -> list[str]:
        with self._lock:
            names = self._catalog.metrics()
        wanted = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        return sorted(name for name in names if all(matcher.matches(name) for matcher in wanted))

    def _pieces(self, metric: str, start_ms: int, end_ms: int) -> list[Piece]:
        """A metric's blocks and logs in a range; looked up again if some went away meanwhile."""
        while True:
            with self._lock:
                version = self._catalog.version
                keys = self._catalog.blocks(metric, start_ms, end_ms)
                logs = [
                    (name, None if growing is None else groups_of(growing, start_ms, end_ms))
                    for name, growing in self._catalog.logs(metric, start_ms, end_ms).items()
                ]
            pieces = [Piece(block, key.part >= IMPORTED_PART) for key in keys for block in self._reader.sealed([key])]
            for name, groups in logs:
                blocks = (
                    self._reader.stored(name)
                    if groups is None
                    else [block for group, data in groups for block in self._reader.group(name, group, data)]
                )
                pieces += [Piece(block, name.lane == IMPORTED) for block in blocks]
            with self._lock:
                if version == self._catalog.version:
                    return pieces

    # -- the store

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the store has everything, or the timeout; whether it has."""
        return self._writer.wait_for(lambda: not self._pending() and not self._tasks, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Bring what is left to the store, within the timeout, and let go of it."""
        if not self.flush(timeout_s):
            log.error("samples lost, the store was away at the end pending_bytes=%d", self._pending())
        self._writer.stop()
        self._store.close()

    def expire(self, now_ms: int) -> None:
        """Soon let go of everything that has outlived the retention at this time; seal imported samples."""
        with self._lock:
            self._head.close_imported()
            self._tasks.append(lambda: self._expire(now_ms))
        self._writer.wake()

    def stats(self) -> Stats:
        """Counters and sizes now."""
        with self._lock:
            cache = self._cache
            return Stats(
                series=self._series,
                samples_appended=self._appended,
                samples_imported=self._imported,
                samples_lost=self._lost,
                frame_bytes=self._frame_bytes,
                raw_bytes=self._appended * _RAW_BYTES,
                stored_bytes=self._stored_bytes,
                pending_bytes=self._pending(),
                memory_bytes=sum(growing.held for growing in self._growing),
                cache_bytes=cache.nbytes,
                cache_hits=cache.hits,
                cache_misses=cache.misses,
                logs=len(self._catalog.all_logs()),
                blocks=sum(1 for _ in self._catalog.all_blocks()),
                store_errors=self._writer.errors,
                outages=self._writer.outages,
                store_away=self._writer.away or not self._loaded,
                refused_ticks=self._refused,
                quarantined=len(self._quarantined),
                torn_logs=self._torn,
                largest_error_percent=self._dead_band.largest_percent,
            )

    def _pending(self) -> int:
        with self._lock:
            return sum(growing.pending for growing in self._growing)

    def _damaged(self, name: str, reason: str, data: bytes) -> None:
        with self._lock:
            if name in self._quarantined:
                return
            self._quarantined.add(name)
            self._aside[name] = data
        log.error("damaged, set aside name=%s err=%s bytes=%d", name, reason, len(data))

    def _try_to_load(self) -> None:
        try:
            self._load()
        except StoreError as err:
            log.warning("store is away at the start, its history will be there when it is back err=%s", err)

    def _load(self) -> None:
        """What earlier runs left."""
        logs, blocks = self._store.logs(), self._store.blocks()
        last = last_snapshot(self._store, logs, blocks, self._reader.segment, self._reader.sealed)
        with self._lock:
            for name in logs:
                self._catalog.add_log(name, None)
            self._catalog.add_blocks(blocks)
            if self._latest is None and last is not None:
                self._latest, self._last_ms = last, last.t_ms
                self._head.continue_after(last)
            self._loaded = True
        self._stored_bytes = self._store.size()

    # -- steps of the writer's thread

    def _step(self) -> bool:
        """One piece of work; whether there is more."""
        if not self._loaded:
            self._load()
            return True
        if self._send():
            return True
        with self._lock:
            task = self._tasks[0] if self._tasks else None
        if task is not None:
            task()
            with self._lock:
                self._tasks.pop(0)
            return True
        if self._aside:
            return self._set_aside()
        return self._seal_one()

    def _send(self) -> bool:
        with self._lock:
            appends, segments, size = [], {}, 0
            for growing in self._growing:
                append = growing.next_append()
                if append is None or size > self._limits.batch_bytes:
                    continue
                appends.append((growing, append))
                size += len(append.data)
                segments.update(growing.unsent_segments())
        if not appends:
            return False
        torn = self._store.append([append for _, append in appends], segments, self._last_ms, self._ttl_ms + DAY_MS)
        with self._lock:
            for growing, append in appends:
                if growing.log not in torn:
                    growing.acknowledge(len(append.data))
        for growing, _ in appends:
            if growing.log in torn:
                self._repair(growing)
        self._retire()
        return True

    def _repair(self, growing: GrowingLog) -> None:
        """The store has lost some of a log: give it all that memory has."""
        with self._lock:
            data = growing.unsent()
            segments = dict(growing.segments)
            self._torn += 1
        log.warning("store has lost samples, written again from memory log=%s bytes=%d", growing.log, len(data))
        self._store.replace(Append(growing.log, 0, data), segments, self._last_ms, self._ttl_ms + DAY_MS)
        with self._lock:
            growing.acknowledge(len(data))

    def _retire(self) -> None:
        """Closed logs that the store has altogether are read from there."""
        with self._lock:
            for growing in [each for each in self._growing if each.closed and not each.pending]:
                self._growing.remove(growing)
                self._catalog.hand_over(growing.log)

    @property
    def _ttl_ms(self) -> int:
        return self._limits.retention_ms + 2 * WINDOW_MS

    def _set_aside(self) -> bool:
        with self._lock:
            name, data = next(iter(self._aside.items()))
        self._store.set_aside(name, data)
        with self._lock:
            self._aside.pop(name, None)
        return True

    def _seal_one(self) -> bool:
        """Seal one part of one metric in one finished window."""
        with self._lock:
            now_window = window_of(self._last_ms)
            waiting = [
                name
                for name, growing in self._catalog.all_logs().items()
                if growing is None
                and name not in self._unsealable
                and (name.lane == IMPORTED or window_of(name.start_ms) < now_window)
            ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda name: name.start_ms)
        imported = oldest.lane == IMPORTED
        window = window_of(oldest.start_ms)
        together = [
            name
            for name in waiting
            if (name.lane, name.metric, window_of(name.start_ms)) == (oldest.lane, oldest.metric, window)
            and name.part == oldest.part
        ]
        self._seal(first_key(oldest.metric, window, None if imported else oldest.part), together)
        if len(together) == len(waiting):
            self._store.compact()
            self._stored_bytes = self._store.size()
        return True

    def _seal(self, first: BlockKey, logs: Sequence[Log]) -> None:
        with self._lock:
            keys = self._catalog.blocks(first.metric, first.window_ms, first.window_ms)
            before = [key for key in keys if belongs(key, first)]
        pieces: list[Block] = [*self._reader.sealed(before)]
        for name in sorted(logs, key=lambda each: (each.start_ms, each.run)):
            pieces += self._reader.stored(name)
        try:
            made = sealed(pieces, first, self._reader.segment)
        except ArithmeticError as err:
            log.error("window stays unsealed log=%s err=%s", logs[0], err)
            self._unsealable.update(logs)
            return
        gone = [key for key in before if key not in made]
        named = frozenset(run.segment for piece in pieces for run in piece.runs)
        self._store.seal(Sealing(made, gone, logs, named, self._ttl_ms))
        with self._lock:
            self._catalog.add_blocks(made)
            self._catalog.remove(gone, logs)
            self._reader.forget([*before, *made, *logs])

    def _expire(self, now_ms: int) -> None:
        edge = now_ms - self._limits.retention_ms
        with self._lock:
            blocks = [key for key in self._catalog.all_blocks() if key.window_ms + WINDOW_MS <= edge]
            logs = [
                name
                for name, growing in self._catalog.all_logs().items()
                if growing is None and window_of(name.start_ms) + WINDOW_MS <= edge
            ]
        if blocks or logs:
            self._store.remove(blocks, logs)
            self._store.expire_segments(now_ms)
            self._store.compact()
            with self._lock:
                self._catalog.remove(blocks, logs)
                self._reader.forget([*blocks, *logs])
        self._stored_bytes = self._store.size()
