"""A few series in memory that PromQL can be asked of: what a unit test puts in and what its rules record."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from alerter.datasource.querier import QueryError
from alerter.decisions.evaluation import Element
from alerter.tools.unit_series import STALE
from exporter.model import Family, Labels, Matcher, SeriesSet
from exporter.promql.answer import Scalar, Vector
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError, ParseError, QueryTimeout


class UnitDatabase:
    """A Queryable that shows no sample later than `until_ms`."""

    def __init__(self) -> None:
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}
        self.until_ms = 0
        self._engine = Engine(self)

    def put(self, labels: Labels, t_ms: int, value: float) -> None:
        """Take a sample. Raises QueryError where there is another one at that instant."""
        times, values = self._series.setdefault(labels, ([], []))
        index = bisect_left(times, t_ms)
        if index == len(times) or times[index] != t_ms:
            times.insert(index, t_ms)
            values.insert(index, value)
        elif struct.pack("<d", values[index]) != struct.pack("<d", value):
            raise QueryError("duplicate sample for timestamp", reachable=True)

    def forget(self, before_ms: int) -> None:
        """Drop the samples before this instant."""
        for labels, (times, values) in list(self._series.items()):
            if keep := times[(first := bisect_left(times, before_ms)) :]:
                self._series[labels] = (keep, values[first:])
            else:
                del self._series[labels]

    # -- Queryable --------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """The matching samples of each series, in a set of its own."""
        found = []
        for labels, (times, values) in self._series.items():
            if not matches_all(matchers, labels):
                continue
            first, last = bisect_left(times, start_ms), bisect_right(times, min(end_ms, self.until_ms))
            if first < last:
                t_ms = np.array(times[first:last], dtype=np.int64)
                found.append(SeriesSet([labels], t_ms, np.array([values[first:last]], dtype=np.float64)))
        return found

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """The label sets that `select` would answer with."""
        return [labels for each in self.select(matchers, start_ms, end_ms) for labels in each.labels]

    def families(self) -> Mapping[str, Family]:
        """Nothing is known of types here."""
        return {}

    # -- what rules need --------------------------------------------------------------------------

    async def query(self, expr: str, t: float) -> list[Element]:
        """An instant query at `t` (Unix seconds). Raises QueryError."""
        return instant_query(self._engine, expr, round(t * 1_000))

    async def write(self, series: Sequence[Element], ended: Sequence[Labels], t: float) -> None:
        """Take what a rule records, all that can be taken. Raises QueryError for the rest."""
        refused: QueryError | None = None
        for each in series:
            try:
                self.put(each.labels, round(t * 1_000), each.value)
            except QueryError as err:
                refused = err
        for labels in ended:
            with suppress(QueryError):  # somebody else goes on with it
                self.put(labels, round(t * 1_000), STALE)
        if refused:
            raise refused


def instant_query(engine: Engine, expr: str, t_ms: int) -> list[Element]:
    """The vector that an expression is; a scalar is one element without labels. Raises QueryError."""
    try:
        value = engine.instant(expr, t_ms).value
    except (ParseError, ExecutionError, QueryTimeout) as err:
        raise QueryError(str(err), reachable=True) from None
    if isinstance(value, Vector):
        return [Element(labels, float(v)) for labels, v in zip(value.labels, value.values, strict=True)]
    if isinstance(value, Scalar):
        return [Element((), value.value)]
    raise QueryError("rule result is not a vector or scalar", reachable=True)


def matches_all(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether a label set satisfies every matcher."""
    by_name = dict(labels)
    return all(matcher.matches(by_name.get(matcher.name, "")) for matcher in matchers)
