"""What makes a message worth reading and takes a query: the value at resolve time, and the last half hour as a line.

For a rule `left op number` both are asked of `left`, for the alert's labels. It is tried for a short while only:
a message without them is better than a late one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

from alerter.datasource.querier import QueryError, RangeSeries
from alerter.decisions.evaluation import Element
from alerter.model import Alert, AlertState, Notification
from exporter.model import METRIC_NAME, Labels
from exporter.promql.ast import COMPARISONS, Binary, NumberLiteral, Paren, Unary
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse

log = logging.getLogger(__name__)
SPAN_S = 1_800.0
STEP_S = 60.0
MOST_ALERTS = 20
_BARS = "▁▂▃▄▅▆▇█"

Instant = Callable[[str, float], Coroutine[Any, Any, list[Element]]]
Range = Callable[[str, float, float, float], Coroutine[Any, Any, list[RangeSeries]]]


class _Labelled(Protocol):
    @property
    def labels(self) -> Labels: ...


def watched(expr: str) -> str | None:
    """The left side of `left op number`, which goes on having a value when the alert is over."""
    try:
        tree = parse(expr)
    except ParseError:
        return None
    while isinstance(tree, Paren):
        tree = tree.expr
    if not isinstance(tree, Binary) or tree.op not in COMPARISONS or tree.return_bool:
        return None
    right = tree.right
    while isinstance(right, Paren | Unary):
        right = right.expr
    return str(tree.left) if isinstance(right, NumberLiteral) else None


def expression_of(alert: Alert) -> str:
    """The rule's expression, as the alert's link names it."""
    return (parse_qs(urlsplit(alert.generator_url).query).get("g0.expr") or [""])[0]


def belongs(alert: Alert, labels: Labels) -> bool:
    """Whether a series is the one that an alert came from: all its labels are the alert's too."""
    return all(name == METRIC_NAME or alert.label.get(name) == value for name, value in labels)


def sparkline(values: Sequence[float]) -> str:
    """Values as bars between the least and the greatest of them; a gap is a space."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in values)


T = TypeVar("T", bound=_Labelled)


class Enrichment:
    """Adds to notifications. `answers` says whether the datasource does; `limit_s` bounds one message's delay."""

    def __init__(self, instant: Instant, span: Range, answers: Callable[[], bool], limit_s: float) -> None:
        self._instant = instant
        self._range = span
        self._answers = answers
        self._limit_s = limit_s

    async def __call__(self, notification: Notification) -> Notification:
        """The notification with what could be found out in time; never fails."""
        if not self._answers():
            return notification
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._enriched(notification)
        except (QueryError, TimeoutError) as err:
            log.debug("message not enriched id=%s err=%r", notification.id, err)
            return notification

    async def _enriched(self, notification: Notification) -> Notification:
        first = notification.alerts[:MOST_ALERTS]
        left = {alert.labels: expr for alert in first if (expr := watched(expression_of(alert))) is not None}
        series = await self._series(set(left.values()), notification.at)
        values = await self._values([alert for alert in first if alert.labels in left], left)
        lines = {}
        for alert in first:
            found = _own(alert, series.get(left.get(alert.labels, ""), ()))
            if found is not None and (line := sparkline(_steps(found, notification.at))):
                lines[alert.fingerprint] = line
        alerts = tuple(_with_value(alert, values.get(alert.labels)) for alert in notification.alerts)
        return dataclasses.replace(notification, alerts=alerts, sparklines=lines)

    async def _series(self, exprs: set[str], at: float) -> dict[str, list[RangeSeries]]:
        asked = sorted(exprs)
        answers = await asyncio.gather(*(self._range(expr, at - SPAN_S, at, STEP_S) for expr in asked))
        return dict(zip(asked, answers, strict=True))

    async def _values(self, alerts: Iterable[Alert], left: dict[Labels, str]) -> dict[Labels, float]:
        """The values of resolved alerts at the time they were resolved."""
        over = [alert for alert in alerts if alert.state is AlertState.RESOLVED and alert.resolved_at is not None]
        asked = sorted({(left[alert.labels], alert.resolved_at or 0.0) for alert in over})
        answers = dict(zip(asked, await asyncio.gather(*(self._instant(*each) for each in asked)), strict=True))
        found = {}
        for alert in over:
            element = _own(alert, answers[left[alert.labels], alert.resolved_at or 0.0])
            if element is not None:
                found[alert.labels] = element.value
        return found


def _own(alert: Alert, candidates: Iterable[T]) -> T | None:
    """The one candidate that belongs to the alert; None if there is none, or more than one."""
    own = [each for each in candidates if belongs(alert, each.labels)]
    return own[0] if len(own) == 1 else None


def _steps(series: RangeSeries, at: float) -> list[float]:
    """A series' value at every step of the span, NaN where it has none."""
    count = int(SPAN_S / STEP_S)
    values = [math.nan] * (count + 1)
    for t, value in series.points:
        index = round((t - (at - SPAN_S)) / STEP_S)
        if 0 <= index <= count:
            values[index] = value
    return values


def _with_value(alert: Alert, value: float | None) -> Alert:
    return alert if value is None else dataclasses.replace(alert, resolved_value=value)
