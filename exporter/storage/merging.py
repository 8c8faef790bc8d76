"""Pieces of one metric, from whatever logs and blocks, as sets of series over shared time axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporter.model import Labels, SeriesSet
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import Run
from exporter.storage.segment import Segment

if TYPE_CHECKING:
    from exporter.model import Mask, Samples, Times

Ids = NDArray[np.int64]

_MOST_CELLS_PER_SAMPLE = 2
"""How empty a table of series over times may be before each series is better kept by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A block's samples; imported ones may have any times, live ones share the fleet's ticks."""

    block: Block
    imported: bool


class Roster:
    """The wanted series of one metric, numbered as they are met; a label set has one number.

    `wanted` says for each row of a segment whether it is; None says that every one is.
    """

    def __init__(
        self, segment: Callable[[bytes], Segment | None], wanted: Callable[[Segment], list[bool] | None]
    ) -> None:
        self._segment = segment
        self._wanted = wanted
        self._ids: dict[bytes, Ids | None] = {}
        self._places: list[tuple[Segment, int]] = []
        self._known: dict[Labels, int] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def labels(self, number: int) -> Labels:
        """A series' label set."""
        segment, row = self._places[number]
        return segment.labels(row)

    def place(self, number: int) -> tuple[Segment, int]:
        """A series' segment and row."""
        return self._places[number]

    def of(self, runs: Sequence[Run]) -> Ids | None:
        """For each slot of these runs its series' number, -1 where that does not match; None if none does."""
        parts = []
        for run in runs:
            ids = self._of_segment(run.segment)
            if ids is None:
                parts.append(np.full(run.count, -1))
            else:
                parts.append(ids[run.first : run.first + run.count])
        found = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return found if (found >= 0).any() else None

    def _of_segment(self, digest: bytes) -> Ids | None:
        if digest not in self._ids:
            segment = self._segment(digest)
            self._ids[digest] = None if segment is None else self._enroll(segment)
        return self._ids[digest]

    def _enroll(self, segment: Segment) -> Ids:
        count = len(segment.index.rows)
        verdict = self._wanted(segment)
        rows = range(count) if verdict is None else [row for row in range(count) if verdict[row]]
        ids = np.full(count, -1)
        if not self._places:
            ids[list(rows)] = np.arange(len(rows))
            self._places = [(segment, row) for row in rows]
            return ids
        if self._known is None:
            self._known = {self.labels(number): number for number in range(len(self._places))}
        for row in rows:
            number = self._known.setdefault(segment.labels(row), len(self._places))
            if number == len(self._places):
                self._places.append((segment, row))
            ids[row] = number
        return ids


def merged(
    pieces: Sequence[Piece],
    roster: Roster,
    start_ms: int,
    end_ms: int,
    name: str = VALUE,
    most_cells: float = _MOST_CELLS_PER_SAMPLE,
) -> list[SeriesSet]:
    """The pieces' samples within [start_ms, end_ms], each label set once. Later pieces win over earlier ones.

    name: the column that is meant. Those of the same pieces come in sets of the same series and instants.

    Series of the fleet share one axis, and imported ones share it with them where that leaves few cells empty; where
    it does not, those share an axis that have the very same times.
    """
    cut = [(piece, ids) for piece in pieces if (ids := roster.of(piece.block.runs)) is not None]
    live = [(within(piece.block, start_ms, end_ms, name), ids) for piece, ids in cut if not piece.imported]
    imported = [(within(piece.block, start_ms, end_ms, name), ids) for piece, ids in cut if piece.imported]
    axis = _axis([block.t_ms for block, _ in live])
    if all(np.isin(block.t_ms, axis).all() for block, _ in imported):
        return _regular([*imported, *live], axis, roster)
    axis = _axis([block.t_ms for block, _ in (*imported, *live)])
    if len(roster) * len(axis) <= most_cells * _size([*imported, *live]):
        return _regular([*imported, *live], axis, roster)
    return _irregular([*imported, *live], roster)


def _size(pieces: Sequence[tuple[Block, Ids]]) -> int:
    """About how many samples of matching series there are."""
    return sum(len(block.t_ms) * int(np.count_nonzero(ids >= 0)) for block, ids in pieces)


def within(block: Block, start_ms: int, end_ms: int, name: str = VALUE) -> Block:
    """A column's samples in a range of time, as a block's values."""
    begin, end = np.searchsorted(block.t_ms, [start_ms, end_ms + 1])
    if name == VALUE and begin == 0 and end == len(block.t_ms):
        return block
    cut = slice(begin, end)
    present = None if block.present is None else block.present[:, cut]
    return Block(block.runs, block.t_ms[cut], {VALUE: block.columns[name][:, cut]}, present)


def _axis(parts: Sequence[Times]) -> Times:
    parts = [part for part in parts if len(part)]
    if not parts:
        return np.empty(0, np.int64)
    whole = np.concatenate(parts)
    return whole if (np.diff(whole) > 0).all() else np.unique(whole)


def _regular(pieces: Sequence[tuple[Block, Ids]], axis: Times, roster: Roster) -> list[SeriesSet]:
    if not len(axis):
        return []
    values = np.full((len(roster), len(axis)), np.nan)
    present = np.zeros(values.shape, np.bool_)
    for block, ids in pieces:
        _place(block, ids, axis, values, present)
    return _set([roster.labels(number) for number in range(len(roster))], axis, values, present)


def _place(block: Block, ids: Ids, axis: Times, values: Samples, present: Mask) -> None:
    """Write a block's samples to the cells of their series and times."""
    if not len(block.t_ms):
        return
    slots = np.flatnonzero(ids >= 0)
    rows = ids[slots]
    columns = np.searchsorted(axis, block.t_ms)
    first, last = int(columns[0]), int(columns[-1])
    dense = last - first + 1 == len(columns)
    found = block.columns[VALUE]
    found = found if len(slots) == len(ids) else found[slots]
    where: tuple[object, object] = (rows[:, None], columns[None, :])
    if dense and len(rows) == rows[-1] - rows[0] + 1 and (np.diff(rows) == 1).all():
        where = (slice(rows[0], rows[-1] + 1), slice(first, last + 1))
    elif dense:
        where = (rows, slice(first, last + 1))
    if block.present is None:
        values[where] = found  # type: ignore[index]  # numpy takes pairs of slices and arrays
        present[where] = True  # type: ignore[index]  # the same
        return
    there = block.present[slots]
    row, column = np.nonzero(there)
    values[rows[row], columns[column]] = found[row, column]
    present[rows[row], columns[column]] = True


def _set(labels: list[Labels], t_ms: Times, values: Samples, present: Mask) -> list[SeriesSet]:
    """The set of those series that have a sample, over those times that have one."""
    if present.all():
        return [SeriesSet(labels, t_ms, values)] if len(labels) else []
    series, times = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
    if not len(series):
        return []
    cells = np.ix_(series, times)
    left = present[cells]
    kept = [labels[number] for number in series]
    return [SeriesSet(kept, t_ms[times], values[cells], None if left.all() else left)]


def _irregular(pieces: Sequence[tuple[Block, Ids]], roster: Roster) -> list[SeriesSet]:
    times: list[list[Times]] = [[] for _ in range(len(roster))]
    values: list[list[Samples]] = [[] for _ in range(len(roster))]
    for block, ids in pieces:
        found = block.columns[VALUE]
        for slot in np.flatnonzero(ids >= 0).tolist():
            there = slice(None) if block.present is None else block.present[slot]
            times[ids[slot]].append(block.t_ms[there])
            values[ids[slot]].append(found[slot][there])
    shared: dict[bytes, tuple[Times, list[Labels], list[Samples]]] = {}
    for number in range(len(roster)):
        if not any(map(len, times[number])):
            continue
        t_ms, samples = _sorted(np.concatenate(times[number]), np.concatenate(values[number]))
        _, labels, rows = shared.setdefault(t_ms.tobytes(), (t_ms, [], []))
        labels.append(roster.labels(number))
        rows.append(samples)
    return [SeriesSet(labels, t_ms, np.stack(rows)) for t_ms, labels, rows in shared.values()]


def _sorted(t_ms: Times, values: Samples) -> tuple[Times, Samples]:
    """In the order of time, the last of several samples at one instant."""
    if (np.diff(t_ms) > 0).all():
        return t_ms, values
    order = np.argsort(t_ms, kind="stable")
    t_ms, values = t_ms[order], values[order]
    last = np.append(np.diff(t_ms) > 0, True)
    return t_ms[last], values[last]
