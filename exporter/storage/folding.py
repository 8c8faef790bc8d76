"""Sparse raw samples folded: many windows of few samples each made one long block, when all of its time has passed.

A series that says something every five minutes has 24 samples in a window, and a block's frame costs as much as they
do. Folded, it takes a quarter. Windows of many samples stay as they are: they are small already, and sooner read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.storage.block import Summary
from exporter.storage.catalog import Catalog
from exporter.storage.layout import FOLD, FOLDED, IMPORTED_PART, LOG_MS, RAW
from exporter.storage.store import BlockKey, Log

_FEW = 60  # samples of a series in a window
_MOST_SAMPLES = 2_000_000  # in one fold, while it is made


@dataclass(frozen=True, slots=True)
class Fold:
    """The blocks of one metric's lane over one span, to be made one. `first` is the name of the first folded one."""

    first: BlockKey
    keys: tuple[BlockKey, ...]


def foldable(
    catalog: Catalog, newest_ms: int, is_waiting: Callable[[Log], bool], summary: Callable[[BlockKey], Summary | None]
) -> Fold | None:
    """The next fold to make. summary: what a block holds, None where that is not known."""
    for metric in sorted(catalog.metrics()):
        waiting = [log.start_ms for log in catalog.logs_of(metric) if is_waiting(log)]
        edge_ms = min([newest_ms - LOG_MS, *(start_ms - 1 for start_ms in waiting)])
        for start_ms in sorted({FOLD.span_of(window_ms) for window_ms in catalog.spans(metric).get(RAW, ())}):
            end_ms = start_ms + FOLD.span_ms
            if end_ms > edge_ms:
                break
            found = catalog.blocks(metric, start_ms, end_ms - 1)
            for imported in (False, True):
                keys = [key for key in found if (key.part >= IMPORTED_PART) == imported]
                if _worth_it(keys, [summary(key) for key in keys]):
                    part = IMPORTED_PART if imported else 0
                    return Fold(BlockKey(FOLDED, start_ms, metric, part), tuple(keys))
    return None


def _worth_it(keys: Sequence[BlockKey], found: Sequence[Summary | None]) -> bool:
    windows = [each for key, each in zip(keys, found, strict=True) if key.tier_ms != FOLDED]
    if len(windows) < 2 or any(each is None for each in found):
        return False
    samples = sum(each.samples for each in windows if each)
    series = sum(run.count for each in windows if each for run in each.runs)
    return samples <= _FEW * series and sum(each.samples for each in found if each) <= _MOST_SAMPLES
