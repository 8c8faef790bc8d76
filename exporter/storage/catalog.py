"""What there is to read: every log and block by metric, whether in the store or still on its way there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from exporter.storage.growing import GrowingLog
from exporter.storage.layout import DAY_MS, FOLD, FOLDED, RAW, TIER_OF_WIDTH, WINDOW_MS, Tier, window_of
from exporter.storage.plan import Reach
from exporter.storage.store import BlockKey, Log


class Catalog:
    """Names, by metric, and the logs that grow. Not thread-safe: its owner locks.

    `version` changes whenever something is taken away or is found in the store, so that a reader who found a name empty
    can look again. What this process writes leaves it.
    """

    def __init__(self) -> None:
        self.version = 0
        self._logs: dict[str, dict[Log, GrowingLog | None]] = defaultdict(dict)
        self._blocks: dict[str, set[BlockKey]] = defaultdict(set)
        self._growing: dict[Log, GrowingLog] = {}
        self._reaches: dict[str, dict[Tier, Reach]] = {}

    def metrics(self) -> set[str]:
        """Every metric that has samples."""
        return {name for names in (self._logs, self._blocks) for name, held in names.items() if held}

    def grow(self, growing: GrowingLog) -> None:
        """A log that this process writes."""
        self._logs[growing.log.metric][growing.log] = growing
        self._growing[growing.log] = growing
        self._reaches.pop(growing.log.metric, None)

    def growing(self) -> list[GrowingLog]:
        """The logs that this process writes and the store does not have altogether, oldest first."""
        return list(self._growing.values())

    def retire(self) -> None:
        """Closed logs that the store has altogether are read from there from now on."""
        for growing in [each for each in self._growing.values() if each.closed and not each.pending]:
            del self._growing[growing.log]
            self._logs[growing.log.metric][growing.log] = None

    def add(self, blocks: Iterable[BlockKey], logs: Iterable[Log] = ()) -> None:
        """Blocks and logs that the store has."""
        for key in blocks:
            if key not in self._blocks[key.metric]:
                self._blocks[key.metric].add(key)
                self._reaches.pop(key.metric, None)
                self.version += 1
        for log in logs:
            if log not in self._logs[log.metric]:
                self._logs[log.metric][log] = None
                self._reaches.pop(log.metric, None)
                self.version += 1

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        """They are not there any more."""
        self.version += 1
        for key in blocks:
            self._blocks[key.metric].discard(key)
            self._reaches.pop(key.metric, None)
        for log in logs:
            self._logs[log.metric].pop(log, None)
            self._reaches.pop(log.metric, None)

    def logs(self, metric: str, start_ms: int, end_ms: int) -> dict[Log, GrowingLog | None]:
        """A metric's logs that may have samples in this range."""
        return {
            log: growing
            for log, growing in self._logs.get(metric, {}).items()
            if window_of(log.start_ms) <= end_ms and window_of(log.start_ms) + WINDOW_MS > start_ms
        }

    def logs_of(self, metric: str) -> list[Log]:
        """All of a metric's logs."""
        return list(self._logs.get(metric, ()))

    def blocks(self, metric: str, start_ms: int, end_ms: int, tier: Tier = RAW) -> list[BlockKey]:
        """A metric's blocks that may have samples in this range, oldest first."""
        opens = 1 if tier.width_ms else 0
        names = (FOLDED, tier.width_ms) if tier is RAW else (tier.width_ms,)
        return sorted(
            key
            for key in self._blocks.get(metric, ())
            if key.tier_ms in names
            and key.window_ms + opens <= end_ms
            and key.window_ms + opens + TIER_OF_WIDTH[key.tier_ms].span_ms > start_ms
        )

    def spans(self, metric: str) -> dict[Tier, set[int]]:
        """For each tier that has a metric's blocks where their spans start; of a fold, each of its days."""
        found: dict[Tier, set[int]] = defaultdict(set)
        for key in self._blocks.get(metric, ()):
            if key.tier_ms == FOLDED:
                found[RAW].update(range(key.window_ms, key.window_ms + FOLD.span_ms, DAY_MS))
            else:
                found[TIER_OF_WIDTH[key.tier_ms]].add(key.window_ms)
        return found

    def reaches(self, metric: str) -> dict[Tier, Reach]:
        """From where to where each tier has a metric's samples; logs are raw."""
        known = self._reaches.get(metric)
        if known is not None:
            return known
        spans = self.spans(metric)
        if logs := {window_of(log.start_ms) for log in self._logs.get(metric, ())}:
            spans.setdefault(RAW, set()).update(logs)
        found = {tier: Reach(min(starts), max(starts) + tier.span_ms) for tier, starts in spans.items()}
        self._reaches[metric] = found
        return found

    def stored_logs(self) -> Iterator[Log]:
        """Every log that only the store has."""
        return (log for held in self._logs.values() for log, growing in held.items() if growing is None)

    def all_blocks(self) -> Iterator[BlockKey]:
        """Every block."""
        return (key for held in self._blocks.values() for key in held)

    def counts(self) -> tuple[int, int]:
        """(logs, blocks)"""
        return sum(map(len, self._logs.values())), sum(map(len, self._blocks.values()))
