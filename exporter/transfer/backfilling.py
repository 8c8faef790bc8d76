"""The past of a simulated fleet: the ticks that would have been, before those that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from exporter.model import METRIC_NAME, Column, Family, Matcher, MatchType, Queryable, SeriesIndex, SeriesSet, Snapshot

WINDOW_MS = 7_200_000
TOGETHER = 240


def first_tick_ms(samples: Queryable, like: Snapshot, start_ms: int, end_ms: int) -> int | None:
    """The time of the first tick kept in a range, None if there is none. `like` says what a tick is made of."""
    if not like.columns:
        return None
    index = like.columns[0].index
    named = [Matcher(MatchType.EQUAL, METRIC_NAME, index.metric)]
    for begin in range(start_ms, end_ms + 1, WINDOW_MS):
        found = samples.select(named, begin, min(begin + WINDOW_MS - 1, end_ms))
        if found:
            return min(int(each.t_ms[0]) for each in found)
    return None


def append_all(ticks: Iterable[Snapshot], append: Callable[[Snapshot], None]) -> Iterator[Snapshot]:
    """Keep ticks as the fleet's own, in a store that has none yet. Yields each when it is done."""
    for tick in ticks:
        append(tick)
        yield tick


def ingest_all(
    ticks: Iterable[Snapshot], ingest: Callable[[Sequence[SeriesSet], Iterable[Family]], int]
) -> Iterator[Snapshot]:
    """Keep ticks that are older than the store's own. Yields each when it is read."""
    waiting: list[Snapshot] = []
    for tick in ticks:
        if waiting and (len(waiting) == TOGETHER or _crosses(waiting[-1], tick)):
            ingest(*turned(waiting))
            waiting.clear()
        waiting.append(tick)
        yield tick
    if waiting:
        ingest(*turned(waiting))


def _crosses(before: Snapshot, after: Snapshot) -> bool:
    return before.t_ms // WINDOW_MS != after.t_ms // WINDOW_MS


def turned(ticks: Sequence[Snapshot]) -> tuple[list[SeriesSet], list[Family]]:
    """Ticks as sets of series, and their families: a set for each stretch in which an index stays the same."""
    stretches: dict[SeriesIndex, list[tuple[int, Column]]] = {}
    for tick in ticks:
        for column in tick.columns:
            stretches.setdefault(column.index, []).append((tick.t_ms, column))
    sets = [
        SeriesSet(
            [index.labels(row) for row in range(len(index.rows))],
            np.array([t_ms for t_ms, _ in stretch], np.int64),
            np.stack([column.values for _, column in stretch], axis=1),
        )
        for index, stretch in stretches.items()
    ]
    return sets, list({index.family.name: index.family for index in stretches}.values())
