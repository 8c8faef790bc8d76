"""The past of a simulated fleet: the ticks that would have been, before and after those that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from exporter.model import METRIC_NAME, STALE_NAN_BITS, Matcher, MatchType, Queryable, SeriesSet, Snapshot

WINDOW_MS = 7_200_000
MOST_SAMPLES = 8_000_000
"""Of ticks that are in memory together, about."""


def first_tick_ms(samples: Queryable, like: Snapshot, start_ms: int, end_ms: int) -> int | None:
    """The time of the first tick kept in a range, None if there is none. `like` says what a tick is made of."""
    metrics = [[Matcher(MatchType.EQUAL, METRIC_NAME, column.index.metric)] for column in like.columns]
    for begin in range(start_ms, end_ms + 1, WINDOW_MS):
        end = min(begin + WINDOW_MS - 1, end_ms)
        found = [int(each.t_ms[0]) for named in metrics for each in samples.select(named, begin, end)]
        if found:
            return min(found)
    return None


def markers(samples: Queryable, last: Snapshot, first_ms: int) -> list[SeriesSet]:
    """Stale markers for the series of a tick that the kept one after it, at `first_ms`, does not have."""
    marked = []
    t_ms = np.array([first_ms], np.int64)
    for column in last.columns:
        index = column.index
        found = samples.select([Matcher(MatchType.EQUAL, METRIC_NAME, index.metric)], first_ms, first_ms)
        kept = {labels for each in found for labels in each.labels}
        gone = [labels for row in range(len(index.rows)) if (labels := index.labels(row)) not in kept]
        if gone:
            values = np.full((len(gone), 1), STALE_NAN_BITS, np.uint64).view(np.float64)
            marked.append(SeriesSet(gone, t_ms, values))
    return marked


class Making:
    """Makes ticks and gives them to `fill`, each time those of a window, or fewer where that would be too many.

    at, ticks: the simulator's. fill: takes the tick before, if there is one, and ticks in order.
    """

    def __init__(
        self,
        at: Callable[[int], Snapshot],
        ticks: Callable[[int, int], Iterable[Snapshot]],
        interval_ms: int,
        fill: Callable[[Snapshot | None, Sequence[Snapshot]], None],
        most_samples: int = MOST_SAMPLES,
    ) -> None:
        self._at = at
        self._ticks = ticks
        self._interval_ms = interval_ms
        self._fill = fill
        self._most_samples = most_samples

    def after(self, last: Snapshot | None, start_ms: int, end_ms: int) -> Iterator[Sequence[Snapshot]]:
        """Make what comes after the last kept tick, the oldest first. Yields what was made together."""
        for begin, end in self._stretches(start_ms, end_ms):
            ticks = list(self._ticks(begin, end))
            self._fill(last, ticks)
            yield ticks
            last = ticks[-1]

    def before(self, first_ms: int, start_ms: int, end_ms: int) -> Iterator[Sequence[Snapshot]]:
        """Make what comes before the first kept tick, the newest first: what is kept has no hole at any moment."""
        for begin, end in reversed(self._stretches(start_ms, min(end_ms, first_ms - 1))):
            ticks = list(self._ticks(begin, end))
            previous_ms = begin - self._interval_ms
            self._fill(self._at(previous_ms) if previous_ms >= start_ms else None, ticks)
            yield ticks

    def _stretches(self, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """The first and the last tick of what is made together, in order."""
        first = -(-start_ms // self._interval_ms) * self._interval_ms
        last = end_ms // self._interval_ms * self._interval_ms
        if first > last:
            return []
        series = sum(len(column.values) for column in self._at(first).columns)
        most_ms = max(1, self._most_samples // max(series, 1)) * self._interval_ms
        found = []
        while first <= last:
            begin, window_end = first, first - first % WINDOW_MS + WINDOW_MS
            first = min(
                begin + most_ms, -(-window_end // self._interval_ms) * self._interval_ms, last + self._interval_ms
            )
            found.append((begin, first - self._interval_ms))
        return found
