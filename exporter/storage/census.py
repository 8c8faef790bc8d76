"""How much is kept of what: every block and log counted once, by tier and family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from exporter.model import Labels
from exporter.storage.block import Block, Summary
from exporter.storage.frame import Run
from exporter.storage.growing import GrowingLog
from exporter.storage.layout import FOLDED, RAW, TIER_OF_WIDTH, Tier
from exporter.storage.segment import Segment
from exporter.storage.store import BlockKey, Log

RAW_BYTES = 16
"""A sample as it comes: a time and a value, 8 bytes each."""

ALL = "(all)"
"""The name of a tier's families together."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a tier keeps of a family. `samples` are aggregates where the tier has those. Times are Unix ms."""

    tier: str
    family: str
    series: int
    samples: int
    bytes: int
    oldest_ms: int
    newest_ms: int

    @property
    def bytes_per_sample(self) -> float:
        """What one sample, or one aggregate with all its columns, takes."""
        return self.bytes / self.samples if self.samples else 0.0

    @property
    def raw_ratio(self) -> float:
        """Bytes against those of as many uncompressed samples."""
        return self.bytes_per_sample / RAW_BYTES

    @staticmethod
    def together(name: str, parts: Iterable[Kept]) -> Kept | None:
        """Families of a tier as one, `name`; None where there is none."""
        parts = list(parts)
        if not parts:
            return None
        return Kept(
            parts[0].tier,
            name,
            sum(part.series for part in parts),
            sum(part.samples for part in parts),
            sum(part.bytes for part in parts),
            min(part.oldest_ms for part in parts),
            max(part.newest_ms for part in parts),
        )

    def entry(self) -> dict[str, object]:
        """As JSON has it. Times are Unix seconds."""
        return {
            "tier": self.tier,
            **({} if self.family == ALL else {"family": self.family}),
            "series": self.series,
            "samples": self.samples,
            "bytes": self.bytes,
            "bytesPerSample": round(self.bytes_per_sample, 4),
            "ratioToRaw": round(self.raw_ratio, 5),
            "oldest": self.oldest_ms / 1000,
            "newest": self.newest_ms / 1000,
        }


def tiers_of(kept: Iterable[Kept]) -> list[Kept]:
    """Each tier's families together, the finest first."""
    whole = (Kept.together(ALL, parts) for _, parts in groupby(kept, key=lambda each: each.tier))
    return [each for each in whole if each is not None]


@dataclass(slots=True)
class Sum:
    """What blocks or logs hold, added up."""

    samples: int = 0
    bytes: int = 0
    oldest_ms: int = 2**62
    newest_ms: int = -(2**62)
    runs: set[Run] = field(default_factory=set)

    def copy(self) -> Sum:
        """One that can be added to without changing this."""
        return Sum(self.samples, self.bytes, self.oldest_ms, self.newest_ms, set(self.runs))

    def add(self, size: int, samples: int, first_ms: int, last_ms: int, runs: Iterable[Run]) -> None:
        self.bytes += size
        self.samples += samples
        if samples:
            self.oldest_ms = min(self.oldest_ms, first_ms)
            self.newest_ms = max(self.newest_ms, last_ms)
        self.runs.update(runs)


Sums = dict[tuple[Tier, str], Sum]


class Census:
    """Summaries of blocks. Not thread-safe: its owner locks."""

    def __init__(self) -> None:
        self._known: dict[BlockKey, Summary] = {}
        self._runs: dict[tuple[Run, ...], tuple[Run, ...]] = {}

    def note(self, key: BlockKey, found: Summary) -> None:
        """A block is there, and this is in it."""
        runs = self._runs.setdefault(found.runs, found.runs)  # the same in every window: kept once
        self._known[key] = Summary(found.size, runs, found.samples, found.first_ms, found.last_ms)

    def of(self, key: BlockKey) -> Summary | None:
        """What a block holds, None where it has not been counted."""
        return self._known.get(key)

    def unknown(self, keys: Iterable[BlockKey], most: int) -> list[BlockKey]:
        """Some of those that have not been counted."""
        found = []
        for key in keys:
            if key not in self._known:
                found.append(key)
                if len(found) == most:
                    break
        return found

    def keep_only(self, keys: Iterable[BlockKey]) -> None:
        """Forget what is not there any more."""
        here = set(keys)
        for key in [key for key in self._known if key not in here]:
            del self._known[key]

    def by_metric(self) -> Sums:
        """Sums of all blocks."""
        sums: Sums = {}
        for key, found in self._known.items():
            tier = RAW if key.tier_ms == FOLDED else TIER_OF_WIDTH[key.tier_ms]
            own = sums.setdefault((tier, key.metric), Sum())
            own.add(found.size, found.samples, found.first_ms, found.last_ms, found.runs)
        return sums


def add_stored(sums: Sums, log: Log, size: int, blocks: Iterable[Block]) -> None:
    """Count a log that is not sealed yet, read back, among the raw samples."""
    own = sums.setdefault((RAW, log.metric), Sum())
    own.bytes += size
    for block in blocks:
        if len(block.t_ms):
            slots = sum(run.count for run in block.runs)
            samples = slots * len(block.t_ms) if block.present is None else int(np.count_nonzero(block.present))
            own.add(0, samples, int(block.t_ms[0]), int(block.t_ms[-1]), block.runs)


def add_growing(sums: Sums, growing: GrowingLog) -> None:
    """Count a log that this process writes among the raw samples."""
    own = sums.setdefault((RAW, growing.log.metric), Sum())
    for group in growing.groups:
        own.add(group.size, group.samples, group.t_ms, group.last_ms, growing.runs)


def kept(sums: Sums, segment: Callable[[bytes], Segment | None]) -> list[Kept]:
    """By tier, the finest first, and by family; metrics of one family are added."""
    parts: dict[tuple[Tier, str], list[Kept]] = {}
    for (tier, metric), own in sums.items():
        named = {run.segment: found for run in own.runs if (found := segment(run.segment)) is not None}
        family = next((found.index.family.name for found in named.values()), metric)
        one = Kept(tier.name, family, _series(own.runs, named), own.samples, own.bytes, own.oldest_ms, own.newest_ms)
        parts.setdefault((tier, family), []).append(one)
    order = sorted(parts, key=lambda place: (place[0].width_ms, place[1]))
    return [together for place in order if (together := Kept.together(place[1], parts[place])) is not None]


def _series(runs: Iterable[Run], named: Mapping[bytes, Segment]) -> int:
    """How many label sets the runs have, each once."""
    rows = {digest: np.zeros(len(segment.index.rows), np.bool_) for digest, segment in named.items()}
    for run in runs:
        if run.segment in rows:
            rows[run.segment][run.first : run.first + run.count] = True
    if len(rows) == 1:
        return int(sum(np.count_nonzero(mask) for mask in rows.values()))
    found: set[Labels] = set()
    for digest, mask in rows.items():
        found.update(named[digest].labels(row) for row in np.flatnonzero(mask).tolist())
    return len(found)
