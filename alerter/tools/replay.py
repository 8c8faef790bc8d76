"""A past as a rule file would have made it: what its rules record, over what a datasource holds.

Queries that read nothing of it are the datasource's to answer. Of the series that the rules make, the datasource's
own samples count until the replay begins, and from then on those that the rules write. Raw samples are asked for
only there and in subqueries; the API tells of no stale markers among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from alerter.datasource.querier import RangeSeries
from alerter.decisions.evaluation import Element
from alerter.tools.split import ASKED, PART, Split, split
from alerter.tools.unit_database import UnitDatabase, instant_query
from exporter.model import METRIC_NAME, Family, Labels, Matcher, MatchType, SeriesSet
from exporter.promql.ast import format_matcher
from exporter.promql.engine import Engine

_MS = 1_000


class History(Protocol):
    """A past that can be asked. Times are Unix seconds. Each raises QueryError."""

    async def instant(self, expr: str, t: float) -> list[Element]: ...

    async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]: ...

    async def samples(self, selector: str, t: float, range_s: float) -> list[RangeSeries]:
        """The samples of a selector in the time before `t`."""
        ...


class Replay:
    """Answers queries and takes what rules write. `made`: the names of what they make. `start`: Unix seconds."""

    def __init__(self, past: History, made: Collection[str], start: float) -> None:
        self._past = past
        self._made = frozenset(made)
        self._start_ms = round(start * _MS)
        self._written = UnitDatabase()
        self._splits: dict[str, Split] = {}
        self._before: dict[tuple[Matcher, ...], tuple[int, list[RangeSeries]]] = {}
        self._reach_ms = 0

    def split(self, expr: str) -> Split:
        """What of an expression is the datasource's to answer."""
        found = self._splits.get(expr)
        if found is None:
            found = self._splits[expr] = split(expr, self._made)
        return found

    async def query(self, expr: str, t: float) -> list[Element]:
        """The vector of an expression at `t`. Raises QueryError."""
        parts = self.split(expr).parts
        return await self.rest(expr, t, [await self._past.instant(part, t) for part in parts])

    async def rest(self, expr: str, t: float, answers: Sequence[list[Element]]) -> list[Element]:
        """The vector of an expression at `t` from the answers to its parts. Raises QueryError."""
        rest = self.split(expr).rest
        if not rest:
            return answers[0]
        return await asyncio.to_thread(_Instant(self, answers, asyncio.get_running_loop()).query, rest, t)

    async def write(self, series: Sequence[Element], ended: Sequence[Labels], t: float) -> None:
        """Take what a rule records, as far as another one reads it."""
        await self._written.write(
            [each for each in series if dict(each.labels)[METRIC_NAME] in self._made],
            [labels for labels in ended if dict(labels)[METRIC_NAME] in self._made],
            t,
        )

    def forget(self, t: float) -> None:
        """Let go of what no query at `t` or later can see, going by how far back those before it looked."""
        self._written.forget(round(t * _MS) - self._reach_ms)

    # -- what one instant's query selects ---------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, asker: Asker) -> list[SeriesSet]:
        """What was written, and what the datasource holds. `asker` waits for its answers."""
        self._written.until_ms = max(self._written.until_ms, end_ms)
        found = {each.labels[0]: each for each in self._written.select(matchers, start_ms, end_ms)}
        for series in self._held(matchers, start_ms, end_ms, asker):
            points = [(t, v) for t, v in series.points if self._counts(series.labels, t) and start_ms <= t * _MS]
            if points:
                earlier = _series_set(series.labels, points)
                later = found.get(series.labels)
                found[series.labels] = earlier if later is None else _joined(earlier, later)
        return list(found.values())

    def _counts(self, labels: Labels, t: float) -> bool:
        return t * _MS < self._start_ms or dict(labels).get(METRIC_NAME) not in self._made

    def _held(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, asker: Asker) -> Sequence[RangeSeries]:
        """The datasource's own samples: of series that are made here, those before the replay, asked for once."""
        named = {each.value for each in matchers if each.name == METRIC_NAME and each.type is MatchType.EQUAL}
        if not named & self._made:
            return asker(self._past.samples(_selector(matchers), end_ms / _MS, (end_ms - start_ms + 1) / _MS))
        first_ms, held = self._before.get(key := tuple(matchers), (self._start_ms, []))
        if start_ms < first_ms:
            until_ms = self._start_ms - 1
            held = asker(self._past.samples(_selector(matchers), until_ms / _MS, (until_ms - start_ms + 1) / _MS))
            self._before[key] = (start_ms, held)
        return held

    def looked_back(self, reach_ms: int) -> None:
        """A query looked back this far."""
        self._reach_ms = max(self._reach_ms, reach_ms)


class Asker(Protocol):
    """Waits, on another thread than the loop's, for an answer of the datasource. Raises QueryError."""

    def __call__(self, answer: Coroutine[Any, Any, list[RangeSeries]]) -> list[RangeSeries]: ...


class _Instant:
    """A Queryable at one instant: the answers to the parts, and what a Replay selects."""

    def __init__(self, replay: Replay, answers: Sequence[list[Element]], loop: asyncio.AbstractEventLoop) -> None:
        self._replay = replay
        self._answers = answers
        self._loop = loop
        self._t_ms = 0

    def query(self, expr: str, t: float) -> list[Element]:
        """The vector of an expression; blocks. Raises QueryError."""
        self._t_ms = round(t * _MS)
        return instant_query(Engine(self), expr, self._t_ms)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesSet]:
        """The matching samples."""
        by_name = {matcher.name: matcher.value for matcher in matchers}
        if by_name.get(METRIC_NAME) == ASKED:
            answer = self._answers[int(by_name[PART])]
            return [_series_set(each.labels, [(self._t_ms / _MS, each.value)]) for each in answer]
        self._replay.looked_back(self._t_ms - start_ms)
        return self._replay.select(matchers, start_ms, end_ms, self._wait)

    def _wait(self, answer: Coroutine[Any, Any, list[RangeSeries]]) -> list[RangeSeries]:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """The label sets that `select` would answer with."""
        return [labels for each in self.select(matchers, start_ms, end_ms) for labels in each.labels]

    def families(self) -> Mapping[str, Family]:
        """Nothing is known of types here."""
        return {}


def _selector(matchers: Sequence[Matcher]) -> str:
    return "{" + ",".join(format_matcher(each) for each in matchers) + "}"


def _series_set(labels: Labels, points: Sequence[tuple[float, float]]) -> SeriesSet:
    t_ms = np.array([round(t * _MS) for t, _ in points], dtype=np.int64)
    return SeriesSet([labels], t_ms, np.array([[value for _, value in points]], dtype=np.float64))


def _joined(earlier: SeriesSet, later: SeriesSet) -> SeriesSet:
    t_ms = np.concatenate([earlier.t_ms, later.t_ms])
    return SeriesSet(earlier.labels, t_ms, np.concatenate([earlier.values, later.values], axis=1))
