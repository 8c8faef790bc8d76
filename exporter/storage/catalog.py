"""What there is to read: every log and block by metric, whether in the store or still on its way there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from exporter.storage.growing import GrowingLog
from exporter.storage.layout import WINDOW_MS, window_of
from exporter.storage.store import BlockKey, Log


class Catalog:
    """Names, by metric. Not thread-safe: its owner locks.

    `version` changes whenever something is taken away, so that a reader who found a name empty can look again.
    """

    def __init__(self) -> None:
        self.version = 0
        self._logs: dict[str, dict[Log, GrowingLog | None]] = defaultdict(dict)
        self._blocks: dict[str, set[BlockKey]] = defaultdict(set)

    def metrics(self) -> set[str]:
        """Every metric that has samples."""
        return {name for names in (self._logs, self._blocks) for name, held in names.items() if held}

    def add_log(self, log: Log, growing: GrowingLog | None) -> None:
        """A log of this process, or one that an earlier one left."""
        if growing is not None or log not in self._logs[log.metric]:
            self._logs[log.metric][log] = growing

    def add_blocks(self, keys: Iterable[BlockKey]) -> None:
        """Sealed blocks."""
        for key in keys:
            self._blocks[key.metric].add(key)

    def remove(self, blocks: Iterable[BlockKey], logs: Iterable[Log]) -> None:
        """They are not there any more."""
        self.version += 1
        for key in blocks:
            self._blocks[key.metric].discard(key)
        for log in logs:
            self._logs[log.metric].pop(log, None)

    def hand_over(self, log: Log) -> None:
        """A log of this process is done: from now on it is read from the store."""
        if log in self._logs[log.metric]:
            self._logs[log.metric][log] = None

    def logs(self, metric: str, start_ms: int, end_ms: int) -> dict[Log, GrowingLog | None]:
        """A metric's logs that may have samples in this range."""
        return {
            log: growing
            for log, growing in self._logs.get(metric, {}).items()
            if log.start_ms <= end_ms and window_of(log.start_ms) + WINDOW_MS > start_ms
        }

    def blocks(self, metric: str, start_ms: int, end_ms: int, tier_ms: int = 0) -> list[BlockKey]:
        """A metric's blocks that may have samples in this range, oldest first."""
        return sorted(
            key
            for key in self._blocks.get(metric, ())
            if key.tier_ms == tier_ms and key.window_ms <= end_ms and key.window_ms + WINDOW_MS > start_ms
        )

    def all_logs(self) -> Mapping[Log, GrowingLog | None]:
        """Every log."""
        return {log: growing for held in self._logs.values() for log, growing in held.items()}

    def all_blocks(self) -> Iterator[BlockKey]:
        """Every block."""
        for held in self._blocks.values():
            yield from held
