"""History out: every series' samples in one piece, family by family, in memory that does not grow with the range.

A metric's series go out in groups that fit into a budget. For each group the range is read window by window, so that
what is in memory is one window of the metric and the whole of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter import openmetrics
from exporter.model import METRIC_NAME, STALE_NAN_BITS, Family, Labels, Matcher, MatchType, Queryable

if TYPE_CHECKING:
    from exporter.model import Samples, Times

Selector = Sequence[Matcher]
Tell = Callable[[str, float, float], None]
"""(what is done, how much, of how much)"""

WINDOW_MS = 7_200_000
BUDGET_SAMPLES = 2_000_000


def export(
    samples: Queryable,
    selectors: Sequence[Selector],
    start_ms: int,
    end_ms: int,
    tell: Tell = lambda what, done, whole: None,
    *,
    budget: int = BUDGET_SAMPLES,
) -> Iterator[str]:
    """The text, in pieces. Each series matches one of the selectors; no selector at all means every series.

    Times are inclusive Unix ms. Stale markers have no text and are left out: a reader of the text sees a series end
    when its samples do. Invariants: a family stands in one piece, and a series within it, its times increasing;
    at most `budget` samples of finished series are in memory, or one series.
    """
    families = sorted(samples.families().values(), key=lambda family: family.name)
    for number, family in enumerate(families):
        tell("exported", number, len(families))
        yield from _family(samples, family, selectors, start_ms, end_ms, budget)
    yield openmetrics.END


def _family(
    samples: Queryable, family: Family, selectors: Sequence[Selector], start_ms: int, end_ms: int, budget: int
) -> Iterator[str]:
    introduced = False
    for metric in dict.fromkeys((*openmetrics.metrics_of(family), family.name)):
        named = Matcher(MatchType.EQUAL, METRIC_NAME, metric)
        wanted = [(*selector, named) for selector in selectors] or [(named,)]
        for text in _metric(samples, wanted, start_ms, end_ms, budget):
            if not introduced:
                yield openmetrics.header(family)
                introduced = True
            yield text


def _metric(
    samples: Queryable, selectors: Sequence[Selector], start_ms: int, end_ms: int, budget: int
) -> Iterator[str]:
    found = dict.fromkeys(labels for each in selectors for labels in samples.series(each, start_ms, end_ms))
    labels = sorted(found)
    per_series = _most_samples(samples, selectors, start_ms, end_ms)
    together = max(1, budget // max(per_series, 1))
    for begin in range(0, len(labels), together):
        group = labels[begin : begin + together]
        gathered = _gathered(samples, selectors, frozenset(group), start_ms, end_ms)
        for each in group:
            if each in gathered:
                yield _text(each, gathered.pop(each))


def _most_samples(samples: Queryable, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> int:
    """How many samples a series has at most: instants of each window, summed."""
    return sum(
        max((len(each.t_ms) for selector in selectors for each in samples.select(selector, begin, end)), default=0)
        for begin, end in _windows(start_ms, end_ms)
    )


def _gathered(
    samples: Queryable, selectors: Sequence[Selector], group: frozenset[Labels], start_ms: int, end_ms: int
) -> dict[Labels, list[tuple[Times, Samples]]]:
    """The samples of a group of series, window after window."""
    found: dict[Labels, list[tuple[Times, Samples]]] = {}
    for begin, end in _windows(start_ms, end_ms):
        seen: set[Labels] = set()
        for each in (each for selector in selectors for each in samples.select(selector, begin, end)):
            for row, labels in enumerate(each.labels):
                if labels not in group or labels in seen:
                    continue
                seen.add(labels)
                there = slice(None) if each.present is None else each.present[row]
                found.setdefault(labels, []).append((each.t_ms[there], each.values[row][there].copy()))
    return found


def _windows(start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """The range in pieces that meet the storage's own windows; both ends belong to each."""
    begin = start_ms
    while begin <= end_ms:
        end = min(begin - begin % WINDOW_MS + WINDOW_MS - 1, end_ms)
        yield begin, end
        begin = end + 1


def _text(labels: Labels, pieces: Sequence[tuple[Times, Samples]]) -> str:
    t_ms = np.concatenate([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    told = values.view(np.uint64) != STALE_NAN_BITS
    return openmetrics.lines(labels, t_ms[told], values[told])
