"""Series for a receiver of metrics: at every interval ask, queue, send; what was not accepted is tried again.

A point waits until it is accepted or older than an hour, when the receiver would lose it. Points leave the queue in
pieces, each as soon as it was accepted: so nothing is lost and nothing sent twice but what broke off unanswered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from alerter.datasource.querier import Query, QueryError
from alerter.loops.patience import Patience, SeriesStats
from alerter.model import DeliveryError
from alerter.notify.datadog_series import Counts, Point

log = logging.getLogger(__name__)
OLDEST_S = 3_600.0
MOST_POINTS = 500_000
PIECE = 2_000
_SETTLE_S = 1.0  # the exporter's tick is at the same instant: let it arrive


class Sink(Protocol):
    """Takes points. `send` blocks for a bounded time and raises DeliveryError."""

    def send(self, points: Iterable[Point]) -> None: ...

    def stats(self) -> Counts: ...


class SeriesLoop:
    """Sends the values of `queries` (a metric's name and its PromQL) every `interval_s`."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        queries: Mapping[str, str],
        interval_s: float,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._name = name
        self._sink = sink
        self._queries = queries
        self._interval_s = interval_s
        self._now, self._sleep, self._jitter = now, sleep, jitter
        self._patience = patience
        self._queue: deque[Point] = deque()
        self._expired = 0
        self._failures = 0
        self._in_a_row = 0
        self._held_since = self._held_until = 0.0
        self._said = ""

    async def run(self, query: Query) -> None:
        """Ask and send at every slot, for ever."""
        slot = self._now() // self._interval_s * self._interval_s
        while True:
            latest = self._now() // self._interval_s * self._interval_s
            slot = min(max(slot + self._interval_s, latest), latest + self._interval_s)  # clocks are put back
            await self._sleep(max(0.0, slot + min(_SETTLE_S, self._interval_s / 2) - self._now()))
            try:
                await self.collect(query, slot)
                await self.send()
            except Exception:
                log.exception("series loop failed receiver=%s", self._name)

    async def collect(self, query: Query, t: float) -> None:
        """Queue the values at `t` (Unix seconds)."""
        answers = await asyncio.gather(*(self._points(query, *item, t) for item in self._queries.items()))
        for points in answers:
            self._queue.extend(points)
        while self._queue and (len(self._queue) > MOST_POINTS or self._now() - self._queue[0].t_s > OLDEST_S):
            self._queue.popleft()
            self._expired += 1

    async def _points(self, query: Query, metric: str, expr: str, t: float) -> list[Point]:
        try:
            elements = await query(expr, t)
        except QueryError as err:
            if err.reachable:
                self._say(f"series not asked for metric={metric} err={err}")
            return []
        return [Point(metric, dict(element.labels), element.value, t) for element in elements]

    async def send(self) -> None:
        """Send what waits, in pieces, unless the receiver wants to be left alone."""
        while self._queue and not self._held(self._now()):
            piece = [self._queue[i] for i in range(min(PIECE, len(self._queue)))]
            try:
                await asyncio.to_thread(self._sink.send, piece)
            except DeliveryError as err:
                self._refused(err)
                return
            for _ in piece:
                self._queue.popleft()
            if self._in_a_row:
                log.info("series accepted again receiver=%s", self._name)
            self._in_a_row, self._said = 0, ""

    def _held(self, now: float) -> bool:
        """Whether the receiver wants to be left alone. A clock that was put back must not lengthen that."""
        return self._held_since <= now < self._held_until

    def _refused(self, err: DeliveryError) -> None:
        self._failures += 1
        self._in_a_row += 1
        wait_s = (
            self._patience.wait_s(self._in_a_row, err.retry_after_s, self._jitter())
            if err.retryable
            else self._patience.rare_s
        )
        self._held_since = self._now()
        self._held_until = self._held_since + wait_s
        self._say(f"series not accepted, {'kept for later' if err.retryable else 'check the settings'} err={err}")

    def _say(self, text: str) -> None:
        """Once in a streak."""
        if text != self._said:
            log.warning("%s receiver=%s", text, self._name)
        self._said = text

    def stats(self) -> SeriesStats:
        """Counters."""
        counts = self._sink.stats()
        dropped = counts.not_finite + counts.out_of_time + counts.unnameable + self._expired
        return SeriesStats(self._name, counts.sent, dropped, self._failures, len(self._queue))
