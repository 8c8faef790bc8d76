"""The door of the storage: samples go in tick by tick, and come out by matchers and time."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock

import numpy as np

from exporter.model import Family, Labels, Matcher, SeriesSet, Snapshot, Wanted
from exporter.storage import census
from exporter.storage.cache import ByteCache
from exporter.storage.catalog import Catalog
from exporter.storage.census import Kept
from exporter.storage.filling import Filling
from exporter.storage.growing import GrowingLog
from exporter.storage.head import Head
from exporter.storage.imports import Imports
from exporter.storage.querying import Querier
from exporter.storage.reading import Decoded, Reader
from exporter.storage.recovery import last_snapshot
from exporter.storage.segment import Segment
from exporter.storage.stats import Limits, Stats
from exporter.storage.store import BlockKey, Store
from exporter.storage.threshold import DeadBand
from exporter.storage.upkeep import Name, Upkeep, shown
from exporter.storage.writer import FIRST_RETRY_S, Writer

log = logging.getLogger("exporter.storage")

_RAW_BYTES = 16  # a time and a value, 8 bytes each
_EVER = 2**62
_SURVEYED = 200
_REACHING = 2  # aggregates from before a range: a rate needs two


class Database:
    """Keeps samples in a store and answers from it. Thread-safe.

    `append` and `ingest` only encode; a thread of its own brings the frames to the store, and they stay in memory
    until it has acknowledged them. Whether the store is there or not, what was appended can be selected.
    `interval_ms` is the fleet's tick. `protected` maps metrics to the thresholds that `threshold_percent` must not
    move values across; until they are known (None), nothing is left out. A store has one database that `tends` it:
    seals and expires. A command that looks in or imports beside a running exporter does not.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval_ms: int = 15_000,
        limits: Limits | None = None,
        threshold_percent: float = 0.0,
        protected: Mapping[str, Sequence[float]] | None = None,
        tends: bool = True,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._lock = RLock()
        self._catalog = Catalog()
        self._cache = ByteCache[object, Decoded](self._limits.cache_bytes)
        self._reader = Reader(
            store, self._cache, self._limits.sealed_bytes, lambda: self._writer.keeps_away, self._damaged
        )
        self._dead_band = DeadBand(threshold_percent, protected)
        run = secrets.token_hex(4)
        self._imports = Imports(run, self._grown)
        self._filling = Filling()
        self._head = Head(run, interval_ms, self._dead_band, self._imports, self._grown)
        self._upkeep = Upkeep(
            store,
            self._reader,
            self._catalog,
            self._lock,
            limits=self._limits,
            newest_ms=lambda: self._last_ms,
            run=run,
            tends=tends,
        )
        self._querier = Querier(
            store, self._reader, self._catalog, self._lock, limits=self._limits, newest_ms=lambda: self._last_ms
        )
        self._latest: Snapshot | None = None
        self._last_ms = -_EVER
        self._loaded = False
        self._late = False
        self._series = self._appended = self._imported = self._lost = 0
        self._frame_bytes = self._late_ticks = 0
        self._quarantined: set[Name] = set()
        self._writer = Writer(self._step, store.reopen, first_retry_s=first_retry_s)
        self._writer.attempt()  # history is there before the first question, unless the store is away
        self._writer.start()

    # -- what goes in

    def append(self, snapshot: Snapshot) -> None:
        """Keep one tick. One that is not later than the last one is kept where nothing is yet, and counted."""
        with self._lock:
            if snapshot.t_ms > self._last_ms:
                self._keep_next(snapshot)
            else:
                self._keep_late(snapshot)
        self._writer.wake()

    def _keep_next(self, snapshot: Snapshot) -> None:
        self._late = False
        self._series, written = self._head.append(snapshot)
        self._latest, self._last_ms = snapshot, snapshot.t_ms
        self._appended += self._series
        self._frame_bytes += written
        self._bound_memory()

    def _keep_late(self, snapshot: Snapshot) -> None:
        """A clock that was set back: what the fleet said of this time before stays, holes are filled."""
        self._late_ticks += 1
        if not self._late:
            log.warning(
                "ticks come late, the clock was set back, they are kept t_ms=%d last_ms=%d",
                snapshot.t_ms,
                self._last_ms,
            )
        self._late = True
        t_ms = np.array([snapshot.t_ms], np.int64)
        sets = [
            SeriesSet([each.index.labels(row) for row in range(len(each.values))], t_ms, each.values[:, None])
            for each in snapshot.columns
        ]
        self._take(sets, {each.index.family.name: each.index.family for each in snapshot.columns})

    def ingest(self, sets: Sequence[SeriesSet], families: Iterable[Family] = ()) -> int:
        """Keep samples from elsewhere, of any time within the retention. Returns how many they are.

        A sample at the time of one that is there takes its place, unless that is the fleet's own.
        """
        with self._lock:
            count = self._take(sets, {family.name: family for family in families})
        self._writer.wake()
        return count

    def _take(self, sets: Sequence[SeriesSet], families: Mapping[str, Family]) -> int:
        count = self._imports.ingest(sets, families)
        self._imported += count
        self._bound_memory()
        return count

    def fill(self, before: Snapshot | None, ticks: Sequence[Snapshot], timeout_s: float = 30.0) -> bool:
        """Keep ticks of one window of the fleet's past, in order: at once as a block, exactly, without live frames.

        before: the tick that they follow, if there is one. They are all later than what is kept, or all earlier than
        the window's; the latter come newest first, and coarser tiers are made of them when older ones have come, or at
        `expire`. They can be selected once the store has them. Waits until no more than one call's waits for that, or
        the timeout; whether it is so. Nothing else may write to the store meanwhile.
        """
        with self._lock:
            filled = self._filling.filled(before, ticks)
            self._reader.remember(filled.segments.values())
            self._upkeep.to_fill.append(filled)
            self._imported += filled.samples
            if ticks[-1].t_ms > self._last_ms:
                self._latest, self._last_ms = ticks[-1], ticks[-1].t_ms
                self._head.continue_after(ticks[-1])
            else:
                self._upkeep.filled_from_ms = filled.window_ms
        return self._writer.wait_for(lambda: len(self._upkeep.to_fill) <= 1, timeout_s)

    def protect(self, protected: Mapping[str, Sequence[float]]) -> None:
        """From now on these are the thresholds that no value is moved across, by metric."""
        self._dead_band.protected = dict(protected)

    def _grown(self, growing: GrowingLog, segments: Iterable[Segment]) -> None:
        self._reader.remember(segments)
        self._catalog.grow(growing)

    def _bound_memory(self) -> None:
        held = sum(growing.held for growing in self._catalog.growing())
        if held > self._limits.frames_bytes:
            held -= self._shed(held - self._limits.frames_bytes, unsent=False)
        if held > self._limits.pending_bytes:
            self._shed(held - self._limits.pending_bytes, unsent=True)

    def _shed(self, wanted: int, *, unsent: bool) -> int:
        freed = 0
        for growing in sorted(self._catalog.growing(), key=lambda each: each.log.start_ms):
            while freed < wanted:
                size, lost = growing.shed(unsent=unsent)
                if not size:
                    break
                if lost and not self._lost:
                    log.error("samples lost, the store is away too long limit_bytes=%d", self._limits.pending_bytes)
                freed += size
                self._lost += lost
        return freed

    # -- what comes out

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """See Queryable. While the store is away, the answer is what memory has, and counted as partial."""
        return self._querier.select(matchers, start_ms, end_ms)

    def select_wanted(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, wanted: Wanted) -> list[SeriesSet]:
        """See Tiered. While the store is away, the answer is what memory has, and counted as partial."""
        return self._querier.select(matchers, start_ms, end_ms, wanted, _REACHING)

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """See Queryable. While the store is away, the answer is what memory has, and counted as partial."""
        return self._querier.series(matchers, start_ms, end_ms)

    def families(self) -> Mapping[str, Family]:
        """See Queryable."""
        return self._querier.families()

    def latest(self) -> Snapshot | None:
        """The last tick kept, by this run or the one before; None where there is none, or it is not known yet."""
        with self._lock:
            return self._latest

    def oldest_ms(self) -> int | None:
        """About when the oldest sample is from, None where there is none: the start of its block."""
        with self._lock:
            reaches = [reach for name in self._catalog.metrics() for reach in self._catalog.reaches(name).values()]
        return min((reach.oldest_ms for reach in reaches), default=None)

    @property
    def revision(self) -> tuple[int, int, int, int]:
        """Differs once the past may read otherwise than before, or could not be read completely: samples that went,
        were sealed, came late or from another process, and answers without the store. Ticks in order and `ingest`
        leave it."""
        return self._catalog.version, self._querier.partial, self._lost, self._late_ticks

    # -- the store

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the store has everything, or the timeout; whether it has."""
        return self._writer.wait_for(lambda: not self._pending() and not self._upkeep.busy, timeout_s)

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until also everything that can be sealed is; whether it is."""
        return self.flush(timeout_s) and self._writer.wait_for(lambda: self._writer.idle, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Bring what is left to the store, within the timeout, and let go of it."""
        if not self.flush(timeout_s):
            log.error("samples lost, the store is away at the end pending_bytes=%d", self._pending())
        self._writer.stop()
        self._store.close()

    def expire(self, now_ms: int) -> None:
        """Soon let go of everything that has outlived the retention at this time; seal imported samples."""
        with self._lock:
            self._imports.close()
            self._catalog.retire()
            self._upkeep.expire_at = now_ms
            self._upkeep.filled_from_ms = -_EVER
        self._writer.wake()

    def sweep(self) -> None:
        """Let go of decoded samples that nobody has asked for since the last time."""
        self._cache.sweep()

    def forget_decoded(self) -> None:
        """Let go of all decoded samples: what was read once is not soon read again."""
        self._cache.clear()

    def stats(self) -> Stats:
        """Counters and sizes now."""
        with self._lock:
            growing = self._catalog.growing()
            logs, blocks = self._catalog.counts()
            return Stats(
                series=self._series,
                samples_appended=self._appended,
                samples_imported=self._imported,
                samples_lost=self._lost + self._upkeep.unfilled,
                frame_bytes=self._frame_bytes,
                raw_bytes=self._appended * _RAW_BYTES,
                stored_bytes=self._upkeep.stored_bytes,
                pending_bytes=sum(each.pending for each in growing),
                memory_bytes=sum(each.held for each in growing),
                cache_bytes=self._cache.nbytes,
                cache_hits=self._cache.hits,
                cache_misses=self._cache.misses,
                logs=logs,
                blocks=blocks,
                store_errors=self._writer.errors,
                outages=self._writer.outages,
                store_away=self._writer.away,
                late_ticks=self._late_ticks,
                partial_answers=self._querier.partial,
                quarantined=len(self._quarantined),
                torn_logs=self._upkeep.torn,
                largest_error_percent=self._dead_band.largest_percent,
            )

    def kept(self) -> list[Kept]:
        """How much is kept of what, by tier and family: as of the last sealing, and what has come since.

        The last log of an earlier run counts once it is sealed.
        """
        with self._lock:
            sums = {place: own.copy() for place, own in self._upkeep.sums.items()}
            for growing in self._catalog.growing():
                census.add_growing(sums, growing)
        return census.kept(sums, self._querier.segment)

    def survey(self, told: Callable[[int, int], None]) -> list[Kept]:
        """As `kept`, from all that is in the store now. `told` hears of (blocks read, all of them).

        For a process that does not tend the store. Raises StoreError.
        """
        waiting = self._upkeep.uncounted()
        for begin in range(0, len(waiting), _SURVEYED):
            told(begin, len(waiting))
            self._upkeep.survey(waiting[begin : begin + _SURVEYED])
        self._upkeep.count()
        with self._lock:
            logs = list(self._catalog.stored_logs())
        for log in logs:
            census.add_stored(self._upkeep.sums, log, len(self._store.read(log)), self._reader.stored(log, keep=False))
        return self.kept()

    def stored_bytes(self) -> int:
        """What the store takes now. Raises StoreError."""
        return self._store.size()

    def _pending(self) -> int:
        with self._lock:
            return sum(growing.pending for growing in self._catalog.growing())

    def _damaged(self, name: Name, reason: str, data: bytes) -> None:
        """Say so once, keep a copy, and stop reading what is damaged as a whole."""
        with self._lock:
            if name in self._quarantined:
                return
            self._quarantined.add(name)
            self._upkeep.aside[name] = data
            if isinstance(name, BlockKey):
                self._catalog.remove([name], ())
        log.error("damaged, set aside name=%s err=%s bytes=%d", shown(name), reason, len(data))

    # -- the writer's thread

    def _step(self) -> bool:
        """One piece of work; whether there may be more."""
        if not self._loaded:
            self._load()
            return True
        return self._upkeep.step()

    def _load(self) -> None:
        """What earlier runs left. Raises StoreError."""
        logs, blocks = self._store.logs(), self._store.blocks()
        last = last_snapshot(self._store, logs, blocks, self._reader.segment, self._reader.sealed)
        with self._lock:
            self._catalog.add(blocks, logs)
            if self._latest is None and last is not None:
                self._latest, self._last_ms = last, last.t_ms
                self._head.continue_after(last)
            self._loaded = True
