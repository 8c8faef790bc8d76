"""Tiers made as spans of time pass: one metric's span of one tier at a time, from the next finer tier.

A span is made once, when everything in it is sealed, and read back before it counts. It is made again when samples
for it come late; what the finer tier has let go of meanwhile stays as it was made before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exporter.model import Labels
from exporter.storage import aggregates
from exporter.storage.aggregates import COUNT, Aggregates, is_counter
from exporter.storage.block import Block
from exporter.storage.catalog import Catalog
from exporter.storage.frame import Run
from exporter.storage.layout import IMPORTED_PART, LOG_MS, RAW, TIER_PAGE_SLOTS, WINDOW_MS, Tier, window_of
from exporter.storage.merging import Piece, Roster, merged
from exporter.storage.reading import Reader
from exporter.storage.sealing import runs_of, verified
from exporter.storage.segment import Segment
from exporter.storage.store import BlockKey, Log

if TYPE_CHECKING:
    from exporter.model import Mask, Samples

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """One metric's span of a tier, to be made from a finer one."""

    metric: str
    tier: Tier
    finer: Tier
    start_ms: int

    @property
    def end_ms(self) -> int:
        """The last instant that is in it."""
        return self.start_ms + self.tier.span_ms


def due(
    catalog: Catalog,
    tiers: Sequence[Tier],
    newest_ms: int,
    late: Collection[Span],
    is_waiting: Callable[[Log], bool],
    failed: Collection[Span],
    since_ms: int,
) -> Span | None:
    """The next span to make. tiers: those that are kept, the finest first. late: those to be made again.

    failed: those that cannot be made. since_ms: spans that begin before it wait, as more may come. A span is due when
    its end has passed and no log of its time waits for its seal.
    """
    for metric in sorted(catalog.metrics()):
        spans = catalog.spans(metric)
        waiting = [log.start_ms for log in catalog.logs_of(metric) if is_waiting(log)]
        edge_ms = min([newest_ms - LOG_MS, *(start_ms - 1 for start_ms in waiting)])
        for finer, tier in itertools.pairwise(tiers):
            starts = {tier.span_of(start_ms + 1) for start_ms in spans.get(finer, ())}
            open_ = starts - spans.get(tier, set()) | {span.start_ms for span in late if _is(span, metric, tier)}
            open_spans = (Span(metric, tier, finer, start_ms) for start_ms in sorted(open_))
            whole = (span for span in open_spans if since_ms <= span.start_ms and span.end_ms <= edge_ms)
            ready = next((span for span in whole if span not in failed), None)
            if ready:
                return ready
    return None


def _is(span: Span, metric: str, tier: Tier) -> bool:
    return span.metric == metric and span.tier == tier


class _Page:
    """Some series of a metric, numbered, and where they stand in the segments."""

    def __init__(self, places: Sequence[tuple[Segment, int]], numbers: Mapping[bytes, Rows]) -> None:
        self.places = places
        self.labels = {segment.labels(row): number for number, (segment, row) in enumerate(places)}
        self._numbers = numbers

    def wanted(self, segment: Segment) -> list[bool]:
        """Which rows of a segment are in the page."""
        numbers = self._numbers.get(segment.digest)
        return [False] * len(segment.index.rows) if numbers is None else (numbers >= 0).tolist()

    def rows(self, runs: Iterable[Run]) -> Rows:
        """For each slot its series' number in the page, -1 where it is not in it."""
        parts = [
            self._numbers[run.segment][run.first : run.first + run.count]
            if run.segment in self._numbers
            else np.full(run.count, -1)
            for run in runs
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


class _Table:
    """The aggregates of a page over a span, as they are found."""

    def __init__(self, span: Span, series: int) -> None:
        self._span = span
        self._count = span.tier.span_ms // span.tier.width_ms
        self.present: Mask = np.zeros((series, self._count), np.bool_)
        self._columns: dict[str, Samples] = {}

    def put(self, found: Aggregates, rows: Rows) -> None:
        """Add those of the span, in place of what is there already."""
        inside = (found.t_ms > self._span.start_ms) & (found.t_ms <= self._span.end_ms)
        places = (found.t_ms[inside] - self._span.start_ms) // self._span.tier.width_ms - 1
        there = found.present[:, inside] & (rows >= 0)[:, None]
        row, column = np.nonzero(there)
        cells = rows[row], places[column]
        for name, values in found.columns.items():
            held = self._columns.setdefault(name, np.zeros(self.present.shape))
            held[cells] = values[:, inside][row, column]
        self.present[cells] = True

    def samples(self) -> float:
        """How many samples the aggregates are of."""
        return float(self._columns[COUNT].sum()) if self._columns else 0.0

    def block(self, places: Sequence[tuple[Segment, int]]) -> Block | None:
        """The block of those series and widths that have any; None where there are none."""
        series, widths = np.flatnonzero(self.present.any(axis=1)), np.flatnonzero(self.present.any(axis=0))
        if not len(series):
            return None
        cells = np.ix_(series, widths)
        present = self.present[cells]
        t_ms = self._span.start_ms + (widths + 1) * self._span.tier.width_ms
        columns = {name: values[cells] for name, values in self._columns.items()}
        return Block(
            runs_of(places[number] for number in series.tolist()), t_ms, columns, None if present.all() else present
        )


class Tiering:
    """Makes spans, for one thread. Its methods raise StoreError, and can then be called again."""

    def __init__(self, reader: Reader, blocks: Callable[[str, int, int, Tier], list[BlockKey]]) -> None:
        self._reader = reader
        self._blocks = blocks

    def made(self, span: Span) -> dict[BlockKey, bytes]:
        """The span's blocks. Where it is made again of fewer samples than before, what it had stays as it was."""
        keys = self._finer_keys(span)
        if span.finer is RAW:  # the sample at the very end is in the next window
            keys += self._blocks(span.metric, span.end_ms, span.end_ms, RAW)
        before = self._blocks(span.metric, span.start_ms + 1, span.end_ms - 1, span.tier)
        found: dict[BlockKey, bytes] = {}
        for page in self._pages([*dict.fromkeys(keys), *before]):
            table = _Table(span, len(page.places))
            for aggregated, rows in self._aggregated(span, page):
                table.put(aggregated, rows)
            held = self._reader.columns(before, aggregates.ALL).values()
            known = [(_of_block(block), page.rows(block.runs)) for block in held]
            if sum(_samples(aggregated, rows) for aggregated, rows in known) > table.samples():
                for aggregated, rows in known:
                    table.put(aggregated, rows)
            whole = table.block(page.places)
            if whole is not None:
                key = BlockKey(span.tier.width_ms, span.start_ms, span.metric, len(found))
                found[key] = verified(whole)
        return found

    def _finer_keys(self, span: Span) -> list[BlockKey]:
        return self._blocks(span.metric, span.start_ms + 1, span.end_ms - 1, span.finer)

    def _pages(self, keys: Sequence[BlockKey]) -> list[_Page]:
        """All series of these blocks, in pages."""
        numbers: dict[Labels, int] = {}
        places: list[tuple[Segment, int]] = []
        rows: dict[bytes, Rows] = {}
        for run in sorted({run for runs in self._reader.runs(keys) for run in runs}, key=lambda run: run.segment):
            segment = self._reader.segment(run.segment)
            if segment is None:
                continue
            own = rows.setdefault(run.segment, np.full(len(segment.index.rows), -1))
            for row in range(run.first, run.first + run.count):
                number = own[row] = numbers.setdefault(segment.labels(row), len(places))
                if number == len(places):
                    places.append((segment, row))
        return [_page(places, rows, begin) for begin in range(0, len(places), TIER_PAGE_SLOTS)]

    def _aggregated(self, span: Span, page: _Page) -> Iterable[tuple[Aggregates, Rows]]:
        if span.finer is not RAW:
            for key in self._finer_keys(span):
                for block in self._reader.columns([key], aggregates.ALL).values():
                    yield aggregates.of_aggregates(_of_block(block), span.tier.width_ms), page.rows(block.runs)
            return
        segment = page.places[0][0]
        counter = is_counter(segment.index.family, segment.index.metric)
        for window_ms in range(window_of(span.start_ms), span.end_ms, WINDOW_MS):
            yield from self._of_window(span, page, window_ms, counter)

    def _of_window(self, span: Span, page: _Page, window_ms: int, counter: bool) -> Iterable[tuple[Aggregates, Rows]]:
        """Those of (window, window + WINDOW_MS]; a counter's sample before shows whether it fell."""
        start_ms, end_ms = (window_ms - WINDOW_MS if counter else window_ms + 1), window_ms + WINDOW_MS
        keys = self._blocks(span.metric, start_ms, end_ms, RAW)
        pieces = [Piece(block, key.part >= IMPORTED_PART) for key, block in self._reader.sealed(keys).items()]
        roster = Roster(self._reader.segment, page.wanted)
        for each in merged(pieces, roster, start_ms, end_ms):
            rows = np.array([page.labels[labels] for labels in each.labels])
            found = aggregates.of_samples(each.t_ms, each.values, each.present, span.tier.width_ms, counter=counter)
            late = found.t_ms > window_ms
            columns = {name: values[:, late] for name, values in found.columns.items()}
            yield Aggregates(found.t_ms[late], columns, found.present[:, late]), rows


def _page(places: Sequence[tuple[Segment, int]], rows: Mapping[bytes, Rows], begin: int) -> _Page:
    end = begin + TIER_PAGE_SLOTS
    own = {digest: np.where((all_ >= begin) & (all_ < end), all_ - begin, -1) for digest, all_ in rows.items()}
    return _Page(places[begin:end], own)


def _samples(found: Aggregates, rows: Rows) -> float:
    """How many samples the aggregates of the wanted series are of."""
    return float(np.where(found.present & (rows >= 0)[:, None], found.columns[COUNT], 0.0).sum())


def _of_block(block: Block) -> Aggregates:
    columns = dict(block.columns)
    present = np.ones(columns[COUNT].shape, np.bool_) if block.present is None else block.present
    return Aggregates(block.t_ms, columns, present)
