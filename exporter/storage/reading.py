"""From names to samples: fetches what the store has, decodes it once while it is asked for, and reports damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple, TypeAlias

from exporter.storage import block as blocks
from exporter.storage import segment as segments
from exporter.storage.block import Block, Summary
from exporter.storage.cache import ByteCache
from exporter.storage.frame import Damaged, Run
from exporter.storage.groups import OpenGroup, read_log
from exporter.storage.growing import Group, GrowingLog
from exporter.storage.layout import LIVE, Report
from exporter.storage.segment import Segment
from exporter.storage.store import BlockKey, Log, Store, StoreError

_BATCH = 200

Holds: TypeAlias = Callable[[tuple[Run, ...]], bool]
"""Whether any of these series is asked for."""


def _any(_runs: tuple[Run, ...]) -> bool:
    return True


class Decoded:
    """Blocks that were decoded together."""

    __slots__ = ("blocks", "lock", "open", "size")

    def __init__(self, found: Sequence[Block], size: int) -> None:
        self.blocks = found
        self.size = size
        self.open: OpenGroup | None = None
        self.lock = Lock()

    @property
    def nbytes(self) -> int:
        """Memory it takes, about."""
        return (self.open.nbytes if self.open else sum(block.nbytes for block in self.blocks)) + 500


class Packed:
    """A block as it is stored."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def nbytes(self) -> int:
        """Memory it takes, about."""
        return len(self.data) + 300


class Reader:
    """Reads logs, blocks and segments. Thread-safe. Its methods raise StoreError.

    Invariant: what is remembered of a block is not older than what `hold` and `forget` last told of it; what has
    changed while it was read is not remembered. What is damaged is reported and left out. `cache` bounds what stays
    decoded; `sealed_bytes` bounds the sealed blocks that stay in memory as they are stored, the newest of which answer
    while the store is away.
    """

    def __init__(
        self,
        store: Store,
        cache: ByteCache[object, Decoded],
        sealed_bytes: int,
        away: Callable[[], bool],
        report: Report,
    ) -> None:
        self._store = store
        self.cache = cache
        self._packed: ByteCache[BlockKey, Packed] = ByteCache(sealed_bytes)
        self._away = away
        self._report = report
        self._segments: dict[bytes, Segment] = {}
        self._runs: dict[BlockKey, tuple[Run, ...]] = {}
        self._interned: dict[tuple[Run, ...], tuple[Run, ...]] = {}
        self._changes = 0
        self._changing = Lock()

    def _asked(self) -> Store:
        """The store, unless it is known to be away: then there is no point in waiting for it."""
        if self._away():
            raise StoreError("the store is away")
        return self._store

    def remember(self, found: Iterable[Segment]) -> None:
        """Segments that the store may not have yet."""
        for segment in found:
            self._segments[segment.digest] = segment

    def segment(self, digest: bytes) -> Segment | None:
        """A segment, or None where it is damaged or not there."""
        found = self._segments.get(digest)
        if found is not None:
            return found
        name = ("segment", digest.hex())
        data = self._asked().segment(digest)
        if data is None:
            self._report(name, "it is missing", b"")
            return None
        try:
            found = segments.decode(digest, data)
        except Damaged as err:
            self._report(name, str(err), data)
            return None
        self._segments[digest] = found
        return found

    def known_segments(self) -> list[Segment]:
        """Every segment read or remembered so far."""
        return list(self._segments.values())

    def in_memory(self, keys: Iterable[BlockKey]) -> list[BlockKey]:
        """Those of the blocks that can be had without the store."""
        return [key for key in keys if self.cache.get(key) or self._packed.get(key)]

    def sealed(self, keys: Sequence[BlockKey], holds: Holds = _any) -> dict[BlockKey, Block]:
        """Blocks by their keys; those not there are left out, and those whose series nobody asks for."""
        seen = self._changes
        keys = self._held(keys, holds)
        found: dict[BlockKey, Block] = {}
        packed: dict[BlockKey, bytes] = {}
        for key in keys:
            if (kept := self.cache.get(key)) is not None:
                found[key] = kept.blocks[0]
            elif (held := self._packed.get(key)) is not None:
                packed[key] = held.data
        wanted = [key for key in keys if key not in found and key not in packed]
        if wanted:
            read = zip(wanted, self._asked().read_blocks(wanted), strict=True)
            packed.update((key, data) for key, data in read if data is not None)
        for key in self._read_held(packed, holds, seen):
            self._unpack(key, packed[key], found, seen)
        return found

    def _held(self, keys: Sequence[BlockKey], holds: Holds) -> list[BlockKey]:
        """Without those that are known to have none of the series."""
        return [key for key in keys if (runs := self._runs.get(key)) is None or holds(runs)]

    def _read_held(self, packed: Mapping[BlockKey, bytes], holds: Holds, seen: int) -> list[BlockKey]:
        """Those that have any of the series, as their bytes say; what each has is known from now on."""
        unknown = {key: data for key, data in packed.items() if key not in self._runs}
        read: dict[BlockKey, tuple[Run, ...]] = {}
        for key, data in unknown.items():
            self._read_runs(key, data, read)
        self._note_runs(read, seen)
        return [key for key in packed if key not in unknown or (key in read and holds(read[key]))]

    def columns(self, keys: Sequence[BlockKey], names: tuple[str, ...], holds: Holds = _any) -> dict[BlockKey, Block]:
        """As `sealed`, the blocks with these of their columns only."""
        seen = self._changes
        keys = self._held(keys, holds)
        kept = {key: self.cache.get((key, names)) for key in keys}
        found = {key: decoded.blocks[0] for key, decoded in kept.items() if decoded is not None}
        wanted = [key for key in keys if key not in found]
        for begin in range(0, len(wanted), _BATCH):
            some = wanted[begin : begin + _BATCH]
            read = zip(some, self._asked().read_blocks(some), strict=True)
            packed = {key: data for key, data in read if data is not None}
            for key in self._read_held(packed, holds, seen):
                self._unpack_columns(key, packed[key], names, found, seen)
        return found

    def _unpack_columns(
        self, key: BlockKey, data: bytes, names: tuple[str, ...], found: dict[BlockKey, Block], seen: int
    ) -> None:
        try:
            found[key] = blocks.decode(data, names)
        except Damaged as err:
            self._report(key, str(err), data)
            return
        with self._changing:
            if self._changes == seen:
                self.cache.put((key, names), Decoded([found[key]], 0))

    def runs(self, keys: Sequence[BlockKey]) -> set[tuple[Run, ...]]:
        """Which series blocks have, in few sets of runs. Each block is read for that once."""
        seen = self._changes
        found = {key: known for key in keys if (known := self._runs.get(key)) is not None}
        read: dict[BlockKey, tuple[Run, ...]] = {}
        for key in (key for key in keys if key not in found):
            if (kept := self.cache.get(key)) is not None:
                read[key] = kept.blocks[0].runs
            elif (held := self._packed.get(key)) is not None:
                read[key] = blocks.runs_of(held.data)
        unknown = [key for key in keys if key not in found and key not in read]
        for begin in range(0, len(unknown), _BATCH):
            some = unknown[begin : begin + _BATCH]
            for key, data in zip(some, self._asked().read_blocks(some), strict=True):
                if data is not None:
                    self._read_runs(key, data, read)
        self._note_runs(read, seen)
        return {*found.values(), *read.values()}

    def summaries(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Summary]:
        """What blocks hold; an empty summary for those not there."""
        found: dict[BlockKey, Summary] = {}
        for key, data in zip(keys, self._asked().read_blocks(keys), strict=True):
            try:
                found[key] = Summary(0, (), 0, 0, 0) if data is None else blocks.summary(data)
            except Damaged as err:
                self._report(key, str(err), data or b"")
        return found

    def _read_runs(self, key: BlockKey, data: bytes, read: dict[BlockKey, tuple[Run, ...]]) -> None:
        try:
            read[key] = blocks.runs_of(data)
        except Damaged as err:
            self._report(key, str(err), data)

    def _note_runs(self, read: Mapping[BlockKey, tuple[Run, ...]], seen: int) -> None:
        with self._changing:
            if self._changes == seen:
                self._runs.update((key, self._interned.setdefault(runs, runs)) for key, runs in read.items())

    def _unpack(self, key: BlockKey, data: bytes, found: dict[BlockKey, Block], seen: int) -> None:
        try:
            found[key] = blocks.decode(data)
        except Damaged as err:
            self._report(key, str(err), data)
            return
        with self._changing:
            if self._changes == seen:
                self.cache.put(key, Decoded([found[key]], 0))
                self._packed.put(key, Packed(data))

    def hold(self, made: Mapping[BlockKey, bytes]) -> None:
        """Blocks that have just been sealed."""
        with self._changing:
            self._changes += 1
            for key, data in made.items():
                self.cache.forget(key)
                self._runs.pop(key, None)
                self._packed.put(key, Packed(data))

    def stored(self, log: Log, *, keep: bool = True) -> list[Block]:
        """The samples of a log that only the store has. It must not be growing."""
        kept = self.cache.get(log)
        if kept is None:
            kept = Decoded(read_log(log, self._asked().read(log), self._report), 0)
            if kept.blocks and keep:
                self.cache.put(log, kept)
        return list(kept.blocks)

    def group(self, log: Log, known: Known) -> list[Block]:
        """The samples of one group of a growing log."""
        group, data = known.group, known.data
        key = (log, group.number)
        if data is not None and known.dropped:
            data = self._asked().read(log, group.offset, known.dropped) + data
        kept = self.cache.get(key)
        if log.lane == LIVE and data is not None:
            return [self._grown(key, kept or Decoded([], 0), log, data)]
        if kept is None or kept.size != group.size:
            data = self._asked().read(log, group.offset, group.size) if data is None else data
            kept = Decoded(read_log(log, data, self._report), group.size)
            self.cache.put(key, kept)
        return list(kept.blocks)

    def _grown(self, key: object, kept: Decoded, log: Log, data: bytes) -> Block:
        with kept.lock:
            if kept.open is None:
                kept.open = OpenGroup()
            block = kept.open.read(data)
        self.cache.put(key, kept)
        return block

    def forget(self, keys: Iterable[BlockKey | Log]) -> None:
        """They have changed or gone."""
        with self._changing:
            self._changes += 1
            for key in keys:
                self.cache.forget(key)
                if isinstance(key, BlockKey):
                    self._runs.pop(key, None)
                    self._packed.forget(key)


class Known(NamedTuple):
    """What memory has of a group, as it was under the log's lock: all but its first `dropped` bytes; None: nothing."""

    group: Group
    dropped: int
    data: bytes | None

    @property
    def whole(self) -> bool:
        """Whether the store need not be asked."""
        return self.data is not None and not self.dropped


def groups_of(growing: GrowingLog, start_ms: int, end_ms: int) -> list[Known]:
    """A growing log's groups that may have samples in this range, with what memory has of them. Call under its lock."""
    return [
        Known(group, group.dropped, None if group.data is None else bytes(group.data))
        for group in growing.groups
        if growing.log.lane != LIVE or (group.t_ms <= end_ms and group.last_ms >= start_ms)
    ]
