"""Answers from whatever tiers, blocks and logs there are, in the store or on their way there."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from typing import TypeVar

import numpy as np

from exporter.model import METRIC_NAME, Family, Labels, Matcher, SeriesSet, Wanted
from exporter.storage.aggregates import COUNT, LAST, LOST, MAX, MIN, SUM, grown
from exporter.storage.block import VALUE, Block
from exporter.storage.catalog import Catalog
from exporter.storage.frame import Run
from exporter.storage.layout import IMPORTED, IMPORTED_PART, RAW, window_of
from exporter.storage.merging import Piece, Roster, merged
from exporter.storage.plan import Stretch, stretches, widths_ms
from exporter.storage.reading import Holds, Known, Reader, groups_of
from exporter.storage.segment import Segment
from exporter.storage.stats import Limits
from exporter.storage.store import BlockKey, Log, Store, StoreError

log = logging.getLogger("exporter.storage")
T = TypeVar("T")

_EVER = 2**62
_Logs = list[tuple[Log, list[Known] | None]]

_COLUMNS = {
    Wanted.LAST: (LAST,),
    Wanted.MIN: (MIN,),
    Wanted.MAX: (MAX,),
    Wanted.SUM: (SUM, COUNT),
    Wanted.GROWTH: (LAST, LOST),
}
"""What of aggregates is read: the value, and perhaps what it is to be read with."""


class Querier:
    """Answers, for any number of threads. `lock` guards the catalog. While the store is away, an answer is what memory
    has, and `partial` counts it. `newest_ms` is the time of the last tick."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        catalog: Catalog,
        lock: RLock,
        *,
        limits: Limits,
        newest_ms: Callable[[], int],
    ) -> None:
        self.partial = 0
        self._store = store
        self._reader = reader
        self._catalog = catalog
        self._lock = lock
        self._limits = limits
        self._newest_ms = newest_ms

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, wanted: Wanted = Wanted.LAST, before: int = 0
    ) -> list[SeriesSet]:
        """See Queryable, and Tiered, for which `before` aggregates from before the start come too."""
        found: list[SeriesSet] = []
        for metric in self._metrics(matchers):
            found += self._select(metric, matchers, (start_ms, end_ms, before), wanted)
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """See Queryable."""
        found: list[Labels] = []
        for metric in self._metrics(matchers):
            roster = self._roster(matchers)
            for runs in self._runs(metric, start_ms, end_ms):
                roster.of(runs)
            found += [roster.labels(number) for number in range(len(roster))]
        return found

    def families(self) -> Mapping[str, Family]:
        """See Queryable."""
        known = {segment.index.metric: segment.index.family for segment in self._reader.known_segments()}
        with self._lock:
            unknown = self._catalog.metrics() - known.keys()
        for metric in unknown:
            for run in itertools.chain.from_iterable(self._runs(metric, -_EVER, _EVER)):
                segment = self.segment(run.segment)
                if segment is not None:
                    known[metric] = segment.index.family
        return {family.name: family for family in known.values()}

    def _metrics(self, matchers: Sequence[Matcher]) -> list[str]:
        with self._lock:
            names = self._catalog.metrics()
        wanted = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        return sorted(name for name in names if all(matcher.matches(name) for matcher in wanted))

    def _roster(self, matchers: Sequence[Matcher]) -> Roster:
        return Roster(self.segment, lambda segment: segment.matching(matchers))

    def segment(self, digest: bytes) -> Segment | None:
        """A segment, None where it cannot be had."""
        return self._reached(lambda: self._reader.segment(digest), None)

    # -- samples

    def _select(
        self, metric: str, matchers: Sequence[Matcher], time: tuple[int, int, int], wanted: Wanted
    ) -> list[SeriesSet]:
        value, *beside = _COLUMNS[wanted]
        roster = self._roster(matchers)

        def holds(runs: tuple[Run, ...]) -> bool:
            return roster.of(runs) is not None

        while True:
            with self._lock:
                version = self._catalog.version
                plan = self._plan(metric, *time)
            pieces = [piece for stretch in plan for piece in self._stretch(metric, stretch, (value, *beside), holds)]
            with self._lock:
                if version == self._catalog.version:
                    break
        if all(stretch.tier is RAW for stretch in plan):
            return merged(pieces, roster, time[0], time[1])
        found = merged(pieces, roster, -_EVER, _EVER)
        if beside:
            with_ = merged(pieces, roster, -_EVER, _EVER, beside[0])
            found = [_together(one, other, wanted) for one, other in zip(found, with_, strict=True)]
        return [replace(each, widths_ms=widths_ms(plan, each.t_ms)) for each in found]

    def _plan(self, metric: str, start_ms: int, end_ms: int, before: int = 0) -> list[Stretch]:
        newest_ms = self._newest_ms()
        edges_ms = {tier: newest_ms - kept_ms for tier, kept_ms in self._limits.retentions_ms.items()}
        return stretches(self._catalog.reaches(metric), edges_ms, start_ms, end_ms, before)

    def _stretch(self, metric: str, stretch: Stretch, names: tuple[str, ...], holds: Holds) -> list[Piece]:
        """A metric's blocks and logs of a stretch, cut to it where others follow or precede."""
        if stretch.tier is RAW:
            found = self._pieces(metric, stretch.start_ms, stretch.end_ms, holds)
            return [_raw(piece, stretch, names) for piece in found]
        with self._lock:
            keys = self._catalog.blocks(metric, stretch.start_ms, stretch.end_ms, stretch.tier)
        blocks = self._reached(lambda: self._reader.columns(keys, names, holds), dict[BlockKey, Block]())
        return [_aggregated(blocks[key], stretch, names) for key in keys if key in blocks]

    def _pieces(self, metric: str, start_ms: int, end_ms: int, holds: Holds) -> list[Piece]:
        """A metric's raw blocks and logs in a range, but for blocks in which there is none of the series."""
        with self._lock:
            keys = self._catalog.blocks(metric, start_ms, end_ms)
            logs: _Logs = [
                (name, None if growing is None else groups_of(growing, start_ms, end_ms))
                for name, growing in self._catalog.logs(metric, start_ms, end_ms).items()
            ]
        found = self._sealed(keys, holds)
        pieces = [Piece(found[key], key.part >= IMPORTED_PART) for key in keys if key in found]
        for name, groups in logs:
            pieces += [Piece(block, name.lane == IMPORTED) for block in self._log_blocks(name, groups)]
        return pieces

    def _sealed(self, keys: Sequence[BlockKey], holds: Holds) -> Mapping[BlockKey, Block]:
        found = self._reached(lambda: self._reader.sealed(keys, holds), None)
        return self._reader.sealed(self._reader.in_memory(keys), holds) if found is None else found

    def _log_blocks(self, name: Log, groups: list[Known] | None) -> list[Block]:
        if groups is None:
            stored = self._reached(lambda: self._reader.stored(name), None)
            if stored == []:
                self._reached(lambda: self._look_again(name), None)
            return stored or []
        found: list[Block] = []
        for known in groups:
            found += self._grown_blocks(name, known)
        return found

    def _look_again(self, gone: Log) -> None:
        """A log has nothing any more: whoever tends the store has sealed it, and others may be new.

        What is remembered of its window is from before that, even here, until the writer's thread says otherwise.
        """
        blocks, logs = self._store.blocks(), self._store.logs()
        window_ms = window_of(gone.start_ms)
        self._reader.forget(key for key in blocks if key.metric == gone.metric and key.window_ms == window_ms)
        with self._lock:
            self._catalog.remove((), [gone])
            self._catalog.add(blocks, [name for name in logs if name != gone])

    def _grown_blocks(self, name: Log, known: Known) -> list[Block]:
        if known.whole:
            return self._reader.group(name, known)
        return self._reached(lambda: self._reader.group(name, known), [])

    # -- series

    def _runs(self, metric: str, start_ms: int, end_ms: int) -> set[tuple[Run, ...]]:
        """Which series a metric has in a range."""
        with self._lock:
            plan = self._plan(metric, start_ms, end_ms)
            keys = [
                key
                for stretch in plan
                for key in self._catalog.blocks(metric, stretch.start_ms, stretch.end_ms, stretch.tier)
            ]
            logs = self._catalog.logs(metric, start_ms, end_ms)
            found = {growing.runs for growing in logs.values() if growing is not None}
        stored = [name for name, growing in logs.items() if growing is None]
        found |= self._reached(lambda: self._reader.runs(keys), set())
        return found | {block.runs for name in stored for block in self._log_blocks(name, None)}

    def _reached(self, read: Callable[[], T], otherwise: T) -> T:
        """What reading gives; `otherwise`, while the store is away and it cannot do without."""
        try:
            return read()
        except StoreError as err:
            log.debug("store not read err=%s", err)
        with self._lock:
            self.partial += 1
        return otherwise


def _raw(piece: Piece, stretch: Stretch, names: Sequence[str]) -> Piece:
    """Samples as if each were an aggregate of itself."""
    block = piece.block
    begin, end = np.searchsorted(block.t_ms, [stretch.start_ms, stretch.end_ms + 1])
    cut = slice(begin, end)
    values = block.columns[VALUE][:, cut]
    same = {LOST: np.broadcast_to(0.0, values.shape), COUNT: np.broadcast_to(1.0, values.shape)}
    columns = {VALUE: values, **{name: same[name] for name in names if name in same}}
    present = None if block.present is None else block.present[:, cut]
    return Piece(Block(block.runs, block.t_ms[cut], columns, present), piece.imported)


def _aggregated(block: Block, stretch: Stretch, names: Sequence[str]) -> Piece:
    """Aggregates as if they were samples; what a gauge lost, nobody counts."""
    begin, end = np.searchsorted(block.t_ms, [stretch.start_ms, stretch.end_ms + 1])
    cut = slice(begin, end)
    nothing = np.broadcast_to(0.0, (len(block.columns[names[0]]), end - begin))
    columns = {name: block.columns[name][:, cut] if name in block.columns else nothing for name in names[1:]}
    columns[VALUE] = block.columns[names[0]][:, cut]
    present = None if block.present is None else block.present[:, cut]
    return Piece(Block(block.runs, block.t_ms[cut], columns, present), imported=False)


def _together(one: SeriesSet, other: SeriesSet, wanted: Wanted) -> SeriesSet:
    """Values with their counts, or raised by what resets took."""
    if wanted is Wanted.SUM:
        return replace(one, counts=other.values)
    return replace(one, values=grown(one.values, other.values, one.present))
