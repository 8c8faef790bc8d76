"""Logs made into blocks: by series, one block for each PAGE_SLOTS of them, or a few more, and each window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import SeriesSet
from exporter.storage import block as blocks
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import Run
from exporter.storage.layout import IMPORTED_PART, PAGE_SLOTS, PART_SLOTS, RAW
from exporter.storage.merging import Piece, Roster, merged
from exporter.storage.segment import Segment
from exporter.storage.store import BlockKey

if TYPE_CHECKING:
    from exporter.model import Mask

PAGES = PART_SLOTS // PAGE_SLOTS
_FOREVER = 2**62
_MOST_CELLS_PER_SAMPLE = 1.1  # a hole costs about as much as a sample


def first_key(metric: str, window_ms: int, part: int | None) -> BlockKey:
    """The first block of a metric's part in a window; of its imported samples where `part` is None."""
    return BlockKey(RAW.width_ms, window_ms, metric, IMPORTED_PART if part is None else part * PAGES)


def belongs(key: BlockKey, first: BlockKey) -> bool:
    """Whether a block is of the same part as this first one, and not folded."""
    if key.tier_ms != first.tier_ms:
        return False
    if first.part >= IMPORTED_PART:
        return key.part >= IMPORTED_PART
    return first.part <= key.part < first.part + PAGES


def sealed(
    pieces: Sequence[Block], first: BlockKey, segment: Callable[[bytes], Segment | None]
) -> dict[BlockKey, bytes]:
    """The blocks that hold everything in these pieces, later ones winning, under keys from `first` on.

    Each is decoded again and compared bit by bit before it is given out: frames go only for what can be read.
    """
    imported = first.part >= IMPORTED_PART
    roster = Roster(segment, lambda _: None)
    whole = [Piece(block, imported) for block in pieces]
    sets = merged(whole, roster, -_FOREVER, _FOREVER, most_cells=_MOST_CELLS_PER_SAMPLE)
    numbers = {roster.labels(number): number for number in range(len(roster))}
    found: dict[BlockKey, bytes] = {}
    for each in sets:
        slots = _page_slots(first, len(each.labels))
        for begin in range(0, len(each.labels), slots):
            block = _page(each, slice(begin, begin + slots), roster, numbers)
            found[first._replace(part=first.part + len(found))] = verified(block)
    return found


def _page_slots(first: BlockKey, series: int) -> int:
    """Series in one block: a live part's, however many came and went, have PAGES names before the next part's."""
    if first.tier_ms != RAW.width_ms or first.part >= IMPORTED_PART:
        return PAGE_SLOTS
    return max(PAGE_SLOTS, -(-series // PAGES))


def _page(each: SeriesSet, rows: slice, roster: Roster, numbers: dict[tuple[tuple[str, str], ...], int]) -> Block:
    runs = runs_of(roster.place(numbers[labels]) for labels in each.labels[rows])
    present: Mask | None = None if each.present is None else each.present[rows]
    return Block(runs, each.t_ms, {VALUE: each.values[rows]}, present)


def runs_of(places: Iterable[tuple[Segment, int]]) -> tuple[Run, ...]:
    """Segments' rows, those that follow each other as one run."""
    runs: list[Run] = []
    for segment, row in places:
        last = runs[-1] if runs else None
        if last and last.segment == segment.digest and last.first + last.count == row:
            runs[-1] = Run(last.segment, last.first, last.count + 1)
        else:
            runs.append(Run(segment.digest, row, 1))
    return tuple(runs)


def verified(block: Block) -> bytes:
    """The block's bytes, read back and compared. Raises ArithmeticError where they are not the same block."""
    data = blocks.encode(block)
    back = blocks.decode(data)
    same = back.runs == block.runs and np.array_equal(back.t_ms, block.t_ms)
    for name, values in block.columns.items():
        there = np.ones(values.shape, np.bool_) if block.present is None else block.present
        again = np.ones(values.shape, np.bool_) if back.present is None else back.present
        same = same and np.array_equal(there, again)
        bits, read = np.ascontiguousarray(values).view(np.uint64), back.columns[name].view(np.uint64)
        same = same and np.array_equal(bits[there], read[there])
    if not same:
        raise ArithmeticError("a block does not read back as it was written")
    return data
