"""What an earlier run kept last, from the logs it left, or else from its newest blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from exporter.model import STALE_NAN_BITS, Column, SeriesIndex, Snapshot
from exporter.storage.block import VALUE, Block
from exporter.storage.frame import STALE, Damaged, Decoder, Frame, Kind, Run, frames
from exporter.storage.layout import IMPORTED_PART, LIVE
from exporter.storage.segment import Segment, index_of
from exporter.storage.store import BlockKey, Log, Store

if TYPE_CHECKING:
    from exporter.model import Samples

Last = tuple[int, tuple[Run, ...], "Samples"]
"""(t_ms, runs, the value of each slot: the stale marker where there is none)"""


def last_snapshot(
    store: Store,
    logs: Iterable[Log],
    blocks: Iterable[BlockKey],
    segment: Callable[[bytes], Segment | None],
    sealed: Callable[[Sequence[BlockKey]], Mapping[BlockKey, Block]],
) -> Snapshot | None:
    """The newest tick of the fleet that the store has, None if it has none. Raises StoreError.

    Only the last group of each metric's newest logs is decoded.
    """
    found: list[Last] = []
    newest: dict[tuple[str, int], Log] = {}
    for log in logs:
        if log.lane == LIVE and log.start_ms >= newest.get((log.metric, log.part), log).start_ms:
            newest[log.metric, log.part] = log
    raw = [key for key in blocks if key.tier_ms == 0 and key.part < IMPORTED_PART]
    sealed_ms = max((key.window_ms for key in raw), default=0)
    if any(log.start_ms >= sealed_ms for log in newest.values()):
        found = [last for log in newest.values() if (last := _last_of(store.read(log))) is not None]
    if not found:
        found = _last_of_blocks([key for key in raw if key.window_ms == sealed_ms], sealed)
    if not found:
        return None
    t_ms = max(last[0] for last in found)
    return _snapshot(t_ms, [last for last in found if last[0] == t_ms], segment)


def _last_of(data: bytes) -> Last | None:
    """The last tick that a live log's bytes tell of."""
    group: list[Frame] = []
    for frame in frames(data):
        if isinstance(frame, Damaged):
            continue
        if frame.kind is Kind.BASELINE:
            group = []
        group.append(frame)
    decoder = Decoder()
    last: Last | None = None
    for frame in group:
        try:
            if decoder.feed(frame):
                last = decoder.t_ms, decoder.runs, np.where(decoder.present, decoder.values, STALE[0])
        except Damaged:
            break
    return last


def _last_of_blocks(
    keys: Sequence[BlockKey], sealed: Callable[[Sequence[BlockKey]], Mapping[BlockKey, Block]]
) -> list[Last]:
    found: list[Last] = []
    for block in sealed(keys).values():
        values = np.ascontiguousarray(block.columns[VALUE][:, -1])
        if block.present is not None:
            values = np.where(block.present[:, -1], values, STALE[0])
        found.append((int(block.t_ms[-1]), block.runs, values))
    return found


def _snapshot(t_ms: int, lasts: Sequence[Last], segment: Callable[[bytes], Segment | None]) -> Snapshot:
    rows: dict[str, list[tuple[Segment, int, float]]] = {}
    for _, runs, values in lasts:
        slot = 0
        for run in runs:
            held = segment(run.segment)
            for row in range(run.first, run.first + run.count):
                if held is not None and values[slot : slot + 1].view(np.uint64)[0] != STALE_NAN_BITS:
                    rows.setdefault(held.index.metric, []).append((held, row, float(values[slot])))
                slot += 1
    columns = (_column(found) for found in rows.values())
    return Snapshot(t_ms, tuple(sorted(columns, key=lambda column: column.index.family.name)))


def _column(found: Sequence[tuple[Segment, int, float]]) -> Column:
    first = found[0][0].index
    if all(held.index.label_names == first.label_names for held, _, _ in found):
        rows = tuple(held.index.rows[row] for held, row, _ in found)
        index = SeriesIndex(first.family, first.metric, first.label_names, rows)
    else:
        index = index_of(first.family, [held.labels(row) for held, row, _ in found])
    return Column(index, np.array([value for _, _, value in found]))
