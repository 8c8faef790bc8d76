"""The Prometheus HTTP API's questions in PromQL: query, query_range, exemplars, and a query's own form."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Protocol

import orjson
from aiohttp import web

from exporter.promql.answer import Answer, SampleStatistics
from exporter.promql.cancellation import Cancellation
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse
from exporter.promql.prettier import pretty
from exporter.web import answers, syntax_tree
from exporter.web.body import Form
from exporter.web.parameters import (
    MAX_TIME_MS,
    MIN_TIME_MS,
    duration_ms,
    limit,
    lookback_ms,
    range_query,
    time_ms,
)
from exporter.web.prometheus_metadata import TRUNCATED
from exporter.web.prometheus_reply import PrometheusError, Reply, endpoint
from exporter.web.result_cache import Ranges
from exporter.web.workers import Piece, Workers

_MOST_NOTES = 10  # of each kind


class Engine(Ranges, Protocol):
    """Evaluates PromQL on the calling thread. Raises what exporter.promql.errors lists."""

    def instant(
        self, query: str, t_ms: int, *, lookback_ms: int | None = None, cancellation: Cancellation | None = None
    ) -> Answer: ...


Evaluate = Callable[[Cancellation], Answer]


class Query:
    """Evaluates on the worker threads. `now` is Unix seconds, `monotonic` any seconds that only grow.

    Range queries go to `ranges`, which may know some of the answer; to the engine when statistics are asked for. They
    have threads of their own, `range_workers`: however many dashboards ask, rules are evaluated in time.
    """

    def __init__(
        self,
        engine: Engine,
        ranges: Ranges,
        workers: Workers,
        range_workers: Workers,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        timeout_s: float,
    ) -> None:
        self._engine = engine
        self._ranges = ranges
        self._workers = workers
        self._range_workers = range_workers
        self._now = now
        self._monotonic = monotonic
        self._timeout_s = timeout_s

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            *endpoint("/query", self.instant, "GET", "POST"),
            *endpoint("/query_range", self.range, "GET", "POST"),
            *endpoint("/query_exemplars", self.exemplars, "GET", "POST"),
            *endpoint("/format_query", self.format_query, "GET", "POST"),
            *endpoint("/parse_query", self.parse_query, "GET", "POST"),
        ]

    async def instant(self, request: web.Request, form: Form) -> AsyncGenerator[Piece]:
        """A query at one time, now if none is given."""
        most = limit(form)
        t_ms = time_ms(form, "time", round(self._now() * 1000))
        query, lookback = form.get("query"), lookback_ms(form)
        return self._evaluated(
            self._workers,
            request,
            form,
            most,
            lambda cancellation: self._engine.instant(query, t_ms, lookback_ms=lookback, cancellation=cancellation),
        )

    async def range(self, request: web.Request, form: Form) -> AsyncGenerator[Piece]:
        """A query at every step of a range."""
        most = limit(form)
        asked = range_query(form)
        ranges: Ranges = self._engine if form.get("stats") else self._ranges
        return self._evaluated(
            self._range_workers,
            request,
            form,
            most,
            lambda cancellation: ranges.range(asked, cancellation),
        )

    def _evaluated(
        self, workers: Workers, request: web.Request, form: Form, most: int, evaluate: Evaluate
    ) -> AsyncGenerator[Piece]:
        """The answer of a query that waits for its turn, runs and ends in time."""
        asked = self._monotonic()
        cancellation = Cancellation(asked + self._limit_s(form), self._monotonic)
        stats = form.get("stats")

        def work() -> Iterator[bytes]:
            began = self._monotonic()
            cancellation.check()
            answer = evaluate(cancellation)
            times = _timings(began - asked, self._monotonic() - began) if stats else None
            return _rendered(answer, most, None if times is None else _statistics(times, answer.samples, stats))

        return workers.pieces(request, work, cancellation.cancel)

    def _limit_s(self, form: Form) -> float:
        given = duration_ms(form, "timeout")
        return self._timeout_s if given is None else min(self._timeout_s, given / 1000)

    async def exemplars(self, _request: web.Request, form: Form) -> Reply:
        """Exemplars are on the scraped page and not kept: there are none to find."""
        if time_ms(form, "end", MAX_TIME_MS) < time_ms(form, "start", MIN_TIME_MS):
            raise PrometheusError("bad_data", "end timestamp must not be before start timestamp")
        try:
            parse(form.get("query"))
        except ParseError as err:  # named as it is, there
            raise PrometheusError("bad_data", str(err)) from None
        return Reply(b"[]")

    async def format_query(self, request: web.Request, form: Form) -> Reply:
        """A query in its canonical form, a long one over several lines."""
        query = form.get("query")
        return await self._workers.run(request, lambda: Reply(orjson.dumps(pretty(parse(query)))))

    async def parse_query(self, request: web.Request, form: Form) -> Reply:
        """A query as a tree."""
        query = form.get("query")
        return await self._workers.run(request, lambda: _tree(query))


def _tree(query: str) -> Reply:
    try:
        return Reply(orjson.dumps(syntax_tree.tree(parse(query))))
    except (orjson.JSONEncodeError, RecursionError):
        raise PrometheusError("execution", "the expression is nested too deeply to be shown as a tree") from None


def _rendered(answer: Answer, most: int, stats: Mapping[str, object] | None) -> Iterator[bytes]:
    cut = answers.first(answer.value, most)
    warnings = answer.warnings if cut is None else (*answer.warnings, TRUNCATED)
    value = answer.value if cut is None else cut
    return answers.answer(value, stats, _told(warnings, "warning"), _told(answer.infos, "info"))


def _told(notes: Sequence[str], kind: str) -> Sequence[str]:
    """Not more than Prometheus tells, and how many more there are."""
    if len(notes) <= _MOST_NOTES:
        return notes
    return [*notes[:_MOST_NOTES], f"{len(notes) - _MOST_NOTES} more {kind} annotations omitted"]


def _timings(queued_s: float, ran_s: float) -> dict[str, float]:
    """Prometheus' own names; sorting and preparing are part of the evaluation here."""
    return {
        "evalTotalTime": ran_s,
        "resultSortTime": 0.0,
        "queryPreparationTime": 0.0,
        "innerEvalTime": ran_s,
        "execQueueTime": queued_s,
        "execTotalTime": queued_s + ran_s,
    }


def _statistics(timings: dict[str, float], samples: SampleStatistics, stats: str) -> Mapping[str, object]:
    """`stats=all` lists the samples of each step too."""
    counts: dict[str, object] = {"totalQueryableSamples": samples.total, "peakSamples": samples.peak}
    if stats == "all":
        counts["totalQueryableSamplesPerStep"] = samples.per_step.tolist()
    return {"timings": timings, "samples": counts}
