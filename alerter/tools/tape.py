"""A stretch of simulated time that can be asked: a Queryable over recorded snapshots, and a History over that."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from alerter.datasource.querier import QueryError, RangeSeries
from alerter.decisions.evaluation import Element
from alerter.tools.unit_database import instant_query, matches_all
from exporter.model import METRIC_NAME, STALE_NAN_BITS, Family, Labels, Matcher, SeriesSet, Snapshot, make_labels
from exporter.promql.answer import Matrix, RangeVector
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError, ParseError
from exporter.promql.question import RangeQuery
from exporter.simulation.recording import record

_MS = 1_000
_STALE = struct.unpack("<d", struct.pack("<Q", STALE_NAN_BITS))[0]


class Tape:
    """What snapshots said of some metrics, of all where none is named. A series that is gone is stale."""

    def __init__(self, snapshots: Iterable[Snapshot], metrics: Sequence[str]) -> None:
        names: dict[str, tuple[str, ...]] = {}

        def noted() -> Iterator[Snapshot]:
            for snapshot in snapshots:
                names.update({column.index.metric: column.index.label_names for column in snapshot.columns})
                yield snapshot

        recording = record(noted(), metrics)
        self._t_ms = recording.t_ms
        self._sets: list[tuple[list[Labels], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = []
        for metric, rows in recording.rows.items():
            pairs = [{METRIC_NAME: metric, **dict(zip(names[metric], row, strict=True))} for row in rows]
            values = recording.values[metric]
            ended = np.isnan(values[:, 1:]) & ~np.isnan(values[:, :-1])
            values[:, 1:][ended] = _STALE
            self._sets.append(([make_labels(each) for each in pairs], values))

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """The matching samples."""
        first, last = (int(n) for n in np.searchsorted(self._t_ms, (start_ms, end_ms + 1)))
        found = []
        for labels, values in self._sets:
            rows = [row for row, each in enumerate(labels) if matches_all(matchers, each)]
            if not rows or first >= last:
                continue
            part = values[rows, first:last]
            present = ~np.isnan(part) | (part.view(np.int64) == STALE_NAN_BITS)
            there = present.any(axis=1)
            chosen = [labels[row] for row, is_there in zip(rows, there, strict=True) if is_there]
            mask = None if present.all() else present[there]
            found.append(SeriesSet(chosen, self._t_ms[first:last], part[there], mask))
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """The label sets that `select` would answer with."""
        return [labels for each in self.select(matchers, start_ms, end_ms) for labels in each.labels]

    def families(self) -> Mapping[str, Family]:
        """Nothing here asks for types."""
        return {}


class TapePast:
    """A tape as a past that can be asked. Times are Unix seconds; each raises QueryError."""

    def __init__(self, tape: Tape) -> None:
        self._engine = Engine(tape)

    async def instant(self, expr: str, t: float) -> list[Element]:
        """An instant query."""
        return await asyncio.to_thread(instant_query, self._engine, expr, round(t * _MS))

    async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]:
        """A range query."""
        question = RangeQuery(expr, round(start * _MS), round(end * _MS), round(step_s * _MS))
        try:
            answer = (await asyncio.to_thread(self._engine.range, question)).value
        except (ParseError, ExecutionError) as err:
            raise QueryError(str(err), reachable=True) from None
        assert isinstance(answer, Matrix)
        return [
            RangeSeries(labels, tuple(zip((t_ms / _MS).tolist(), values.tolist(), strict=True)))
            for labels, t_ms, values in answer.series()
        ]

    async def samples(self, selector: str, t: float, range_s: float) -> list[RangeSeries]:
        """The samples of a selector in the time before `t`."""
        query = f"{selector}[{max(1, round(range_s * _MS))}ms]"
        answer = (await asyncio.to_thread(self._engine.instant, query, round(t * _MS))).value
        assert isinstance(answer, RangeVector)
        return [
            RangeSeries(labels, tuple(zip((t_ms / _MS).tolist(), values.tolist(), strict=True)))
            for labels, (t_ms, values) in zip(answer.labels, answer.points, strict=True)
        ]
