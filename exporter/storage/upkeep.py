"""What the writer's thread does, piece by piece: send frames, seal logs, make tiers, expire, set damage aside."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import RLock

from exporter.storage import block as blocks
from exporter.storage.block import Block
from exporter.storage.catalog import Catalog
from exporter.storage.census import Census, Sums
from exporter.storage.filling import Filled
from exporter.storage.folding import foldable
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import DAY_MS, FOLD, IMPORTED, LIVE, LOG_MS, RAW, TIER_OF_WIDTH, WINDOW_MS, Tier, window_of
from exporter.storage.reading import Reader
from exporter.storage.sealing import belongs, first_key, sealed
from exporter.storage.stats import Limits
from exporter.storage.store import Append, BlockKey, Log, Sealing, Store
from exporter.storage.tiering import Span, Tiering, due

log = logging.getLogger("exporter.storage")

_EVER = 2**62
_SURVEYED = 100  # blocks read at a time to count them

Name = tuple[object, ...]


class Upkeep:
    """Work on the store, for one thread. `lock` guards the catalog and its logs; no write is made under it.

    `newest_ms` is the time of the last tick, `run` the name of this process' logs. Without `tends`, frames are sent and
    nothing is sealed or expired. `to_fill` waits to become blocks; of what is before `filled_from_ms` more may follow.
    Methods raise StoreError, and can then be called again.
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
        self.unfilled = 0
        self.stored_bytes = 0
        self.aside: dict[Name, bytes] = {}
        self.expire_at: int | None = None
        self.to_fill: deque[Filled] = deque()
        self.filled_from_ms = -_EVER
        self.sums: Sums = {}
        self._census = Census()
        self._store = store
        self._reader = reader
        self._catalog = catalog
        self._lock = lock
        self._limits = limits
        self._newest_ms = newest_ms
        self._tiering = Tiering(reader, self._blocks)
        self._unsealable: set[Log] = set()
        self._late: set[Span] = set()
        self._failed: set[Span] = set()
        self._unfoldable: set[BlockKey] = set()
        self._may_be_due = True
        self._cleaned_ms = -_EVER
        self._unmeasured = True

    def step(self) -> bool:
        """One piece of work, the most urgent first; whether there was one."""
        if self._send() or self._set_aside() or self._fill():
            return True
        steps = (self._expire, self._seal_one, self._make_tier, self._survey, self._fold_one, self._measure)
        return self._tends and any(step() for step in steps)

    def _past_ms(self) -> int:
        """Up to when time has passed: a store that only imports has no ticks, but is cleaned up."""
        return max(self._newest_ms(), self._cleaned_ms)

    @property
    def busy(self) -> bool:
        """Whether something waits that must not be forgotten."""
        return bool(self.aside or self.to_fill) or (self._tends and self.expire_at is not None)

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
    def _segment_ttl_ms(self) -> int:
        return self._limits.wanted_ms(RAW) + DAY_MS

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
        before = self._own_blocks(first)
        pieces: list[Block] = list(self._reader.sealed(before).values())
        for name in sorted(logs, key=_age):
            pieces += self._reader.stored(name, keep=False)
        made = sealed(pieces, first, self._reader.segment)
        named = frozenset(run.segment for piece in pieces for run in piece.runs)
        gone = [key for key in before if key not in made]
        self._store.seal(Sealing(made, gone, logs, named, self._limits.wanted_ms(RAW)))
        self._sealed(made, gone, logs)
        self._came_late(first.metric, RAW, first.window_ms)

    def _sealed(self, made: Mapping[BlockKey, bytes], gone: Sequence[BlockKey], logs: Sequence[Log]) -> None:
        with self._lock:
            self._catalog.add(made)
            self._catalog.remove(gone, logs)
            self._reader.forget([*gone, *logs])
            self._reader.hold(made)
        for key, data in made.items():
            self._census.note(key, blocks.summary(data))

    # -- filling

    def _fill(self) -> bool:
        """Make blocks of what waits first, all of it or nothing: with what its window has, which stays where both do.

        The logs there are sealed as well: those are not the newest any more that an earlier run left.
        """
        with self._lock:
            filled = self.to_fill[0] if self.to_fill else None
        if filled is None:
            return False
        try:
            self._seal_filled(filled)
        except ArithmeticError as err:
            log.error("past stays unfilled window_ms=%d samples=%d err=%s", filled.window_ms, filled.samples, err)
            self.unfilled += filled.samples
        with self._lock:
            self.to_fill.popleft()
        return True

    def _seal_filled(self, filled: Filled) -> None:
        with self._lock:
            stored = [name for name in self._catalog.stored_logs() if name not in self._unsealable]
        logs = [name for name in sorted(stored, key=_age) if _live_in(name, filled.window_ms)]
        places = {*filled.pieces, *((name.metric, name.part) for name in logs)}
        made: dict[BlockKey, bytes] = {}
        before: list[BlockKey] = []
        named = set(filled.segments)
        for metric, part in sorted(places):
            first = first_key(metric, filled.window_ms, part)
            own = self._own_blocks(first)
            pieces = [*filled.pieces.get((metric, part), ()), *self._reader.sealed(own).values()]
            for name in logs:
                if (name.metric, name.part) == (metric, part):
                    pieces += self._reader.stored(name, keep=False)
            made.update(sealed(pieces, first, self._reader.segment))
            named.update(run.segment for piece in pieces for run in piece.runs)
            before += own
        gone = [key for key in before if key not in made]
        self._store.append((), filled.data, self._newest_ms(), self._segment_ttl_ms)
        self._store.seal(Sealing(made, gone, logs, frozenset(named), self._limits.wanted_ms(RAW)))
        self._sealed(made, gone, logs)
        for metric in {metric for metric, _ in places}:
            self._came_late(metric, RAW, filled.window_ms)

    def _own_blocks(self, first: BlockKey) -> list[BlockKey]:
        """The blocks there are of this one's part and window."""
        with self._lock:
            keys = self._catalog.blocks(first.metric, first.window_ms, first.window_ms)
        return [key for key in keys if belongs(key, first)]

    # -- tiers

    def _blocks(self, metric: str, start_ms: int, end_ms: int, tier: Tier) -> list[BlockKey]:
        with self._lock:
            return self._catalog.blocks(metric, start_ms, end_ms, tier)

    def _make_tier(self) -> bool:
        """Make one span of one tier that is due."""
        if not self._may_be_due:
            return False
        with self._lock:
            if self.to_fill:  # time has passed that is not in the blocks yet
                return True
            span = due(
                self._catalog,
                self._limits.tiers,
                self._past_ms(),
                self._late,
                lambda name: name not in self._unsealable,
                self._failed,
                self.filled_from_ms,
            )
        if span is None:
            self._may_be_due = False
            return False
        try:
            self._make(span)
        except ArithmeticError as err:
            log.error("tier stays unmade metric=%s tier=%s err=%s", span.metric, span.tier.name, err)
            self._failed.add(span)
        self._late.discard(span)
        self._unmeasured = True
        return True

    def _make(self, span: Span) -> None:
        made = self._tiering.made(span)
        before = self._blocks(span.metric, span.start_ms + 1, span.end_ms, span.tier)
        gone = [key for key in before if key not in made]
        if not made:
            self._failed.add(span)  # nothing in it can be read
        named = frozenset(run.segment for data in made.values() for run in blocks.runs_of(data))
        self._store.seal(Sealing(made, gone, (), named, self._limits.wanted_ms(span.tier)))
        self._sealed(made, gone, ())
        self._came_late(span.metric, span.tier, span.start_ms)

    def _came_late(self, metric: str, tier: Tier, start_ms: int) -> None:
        """A span of a tier is new: the coarser one, if it is there already, does not know."""
        self._may_be_due = True
        coarser = self._limits.coarser(tier)
        if coarser is None:
            return
        # the very first sample of a raw window belongs to the width before
        for t_ms in (start_ms, start_ms + 1) if tier is RAW else (start_ms + 1,):
            span = Span(metric, coarser, tier, coarser.span_of(t_ms))
            if self._blocks(metric, span.start_ms + 1, span.end_ms - 1, coarser):
                self._late.add(span)

    # -- sparse series

    def _fold_one(self) -> bool:
        """Make one long block of many short ones."""
        if not self._unmeasured:
            return False
        with self._lock:
            fold = foldable(
                self._catalog,
                self._past_ms(),
                lambda name: name not in self._unsealable,
                lambda key: None if key in self._unfoldable else self._census.of(key),
            )
        if fold is None:
            return False
        found = self._reader.sealed(fold.keys)
        try:
            made = sealed([found[key] for key in fold.keys if key in found], fold.first, self._reader.segment)
        except ArithmeticError as err:
            log.error("windows stay unfolded block=%s err=%s", shown(fold.first), err)
            self._unfoldable.update(fold.keys)
            return True
        named = frozenset(run.segment for block in found.values() for run in block.runs)
        gone = [key for key in fold.keys if key not in made]
        self._store.seal(Sealing(made, gone, (), named, self._limits.wanted_ms(RAW) + FOLD.span_ms))
        self._sealed(made, gone, ())
        return True

    # -- expiry

    def _expire(self) -> bool:
        now_ms = self.expire_at
        if now_ms is None:
            return False
        self._cleaned_ms = max(self._cleaned_ms, now_ms)
        names = self._store.blocks(), self._store.logs()
        with self._lock:
            self._catalog.add(*names)  # another process may have imported something
            outlived = [key for key in self._catalog.all_blocks() if self._has_outlived(key, now_ms)]
            logs = [name for name in self._catalog.stored_logs() if self._log_has_outlived(name, now_ms)]
        if outlived or logs:
            self._store.remove(outlived, logs)
            self._store.expire_segments(now_ms)
            with self._lock:
                self._catalog.remove(outlived, logs)
                self._reader.forget([*outlived, *logs])
        with self._lock:
            self.expire_at = None
        self._unmeasured = self._may_be_due = True
        return True

    def _has_outlived(self, key: BlockKey, now_ms: int) -> bool:
        """Whether a block is past its tier's retention, and the coarser tier, if that wants it, has it."""
        tier = TIER_OF_WIDTH[key.tier_ms]
        end_ms = key.window_ms + tier.span_ms
        if end_ms > now_ms - self._limits.retentions_ms.get(RAW if tier is FOLD else tier, 0):
            return False
        coarser = self._limits.coarser(tier)
        if coarser is None or end_ms <= now_ms - max(self._limits.retentions_ms.values()):
            return True
        span = Span(key.metric, coarser, tier, coarser.span_of(key.window_ms + 1))
        there = self._catalog.blocks(key.metric, span.start_ms + 1, span.end_ms - 1, coarser)
        return span in self._failed or (bool(there) and span not in self._late)

    def _log_has_outlived(self, name: Log, now_ms: int) -> bool:
        """A log that is not sealed yet is not in any coarser tier."""
        longest_ms = max(self._limits.retentions_ms.values())
        return window_of(name.start_ms) + WINDOW_MS <= now_ms - longest_ms

    def _survey(self) -> bool:
        """Count some blocks that have not been counted: those of earlier runs, and of other processes."""
        if not self._unmeasured:
            return False
        with self._lock:
            keys = self._census.unknown(self._catalog.all_blocks(), _SURVEYED)
        if keys:
            self.survey(keys)
        return bool(keys)

    def survey(self, keys: Sequence[BlockKey]) -> None:
        """Count these blocks. What is damaged is reported; what is not there counts as empty."""
        for key, found in self._reader.summaries(keys).items():
            self._census.note(key, found)

    def uncounted(self) -> list[BlockKey]:
        """All blocks that have not been counted."""
        with self._lock:
            keys = list(self._catalog.all_blocks())
        return self._census.unknown(keys, len(keys))

    def count(self) -> None:
        """Add up what is counted."""
        with self._lock:
            self._census.keep_only(self._catalog.all_blocks())
        self.sums = self._census.by_metric()

    def _measure(self) -> bool:
        """When all is sealed: give freed space back, and see what is left."""
        if self._unmeasured:
            self.count()
            self._store.compact()
            self.stored_bytes = self._store.size()
            self._unmeasured = False
        return False


def _place(name: Log) -> tuple[str, str, int, int]:
    return name.lane, name.metric, name.part, window_of(name.start_ms)


def _age(name: Log) -> tuple[int, str]:
    return name.start_ms, name.run


def _live_in(name: Log, window_ms: int) -> bool:
    return name.lane == LIVE and window_of(name.start_ms) == window_ms


def shown(name: Name) -> str:
    """A name of a block, log or segment for people."""
    return "/".join(map(str, name))
