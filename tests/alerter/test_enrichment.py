"""The value at resolve time and the line of the last half hour."""

from __future__ import annotations

import asyncio
import dataclasses
import math

import pytest

from alerter.datasource.expansion import graph_link
from alerter.datasource.querier import QueryError, RangeSeries
from alerter.decisions.evaluation import Element
from alerter.loops.enrichment import Enrichment, sparkline, watched
from alerter.model import Alert, Notification
from exporter.model import make_labels
from tests.alerter.worlds import firing, resolved


@pytest.mark.parametrize(
    ("expr", "left"),
    [
        ("cpu > 80", "cpu"),
        ("(sum by (server) (rate(x[5m])) >= 1e3)", "sum by (server) (rate(x[5m]))"),
        ("temp < -5", "temp"),
        ("a > b", None),
        ("a > bool 1", None),
        ("a and b > 1", None),
        ("absent(up)", None),
        ("not promql (", None),
    ],
)
def test_what_is_watched_is_the_left_side_of_a_comparison_with_a_number(expr: str, left: str | None) -> None:
    assert watched(expr) == left


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0, 7], "▁█"),
        ([1, math.nan, 3], "▁ █"),
        ([5, 5, 5], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([1], ""),
        ([math.nan, math.inf], ""),
    ],
)
def test_a_sparkline_goes_from_the_least_to_the_greatest(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def linked(alert: Alert, expr: str = "cpu > 80") -> Alert:
    return dataclasses.replace(alert, generator_url=graph_link("http://x", expr))


def labels(**pairs: str) -> tuple[tuple[str, str], ...]:
    return make_labels({"__name__": "cpu", **pairs})


async def instant(expr: str, t: float) -> list[Element]:
    assert (expr, t) == ("cpu", 1_100.0)
    return [Element(labels(server="a"), 42.5), Element(labels(server="b"), 99.0)]


async def span(expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]:
    points = tuple((start + n * step_s, float(n)) for n in range(31))
    return [RangeSeries(labels(server="a"), points), RangeSeries(labels(server="b"), points[:1])]


def enrichment(instant: object = instant, answers: bool = True) -> Enrichment:
    return Enrichment(instant, span, lambda: answers, 0.2)  # type: ignore[arg-type] # some fail on purpose


def notification(*alerts: Alert) -> Notification:
    return Notification("id", (), alerts, 3_000.0)


async def test_a_resolved_alert_gets_the_value_of_its_own_series_at_the_time_it_was_resolved() -> None:
    made = await enrichment()(notification(linked(resolved(server="a", severity="warning"))))
    (alert,) = made.alerts
    assert alert.resolved_value == 42.5
    assert made.sparklines == {alert.fingerprint: sparkline(range(31))}


async def test_a_firing_alert_gets_a_line_and_no_other_value() -> None:
    made = await enrichment()(notification(linked(firing(server="a"))))
    assert made.alerts[0].resolved_value is None
    assert len(made.sparklines[made.alerts[0].fingerprint]) == 31


async def fails(expr: str, t: float) -> list[Element]:
    raise QueryError("away")


async def hangs(expr: str, t: float) -> list[Element]:
    await asyncio.sleep(60)
    return []


@pytest.mark.parametrize("instant", [fails, hangs])
async def test_a_message_goes_out_as_it_was_when_nothing_can_be_found_out(instant: object) -> None:
    before = notification(linked(resolved(server="a")))
    assert await enrichment(instant)(before) is before


async def test_a_datasource_that_is_away_is_not_asked() -> None:
    before = notification(linked(resolved(server="a")))
    assert await enrichment(fails, answers=False)(before) is before


async def test_a_series_that_may_be_anybodys_gives_no_value() -> None:
    async def two(expr: str, t: float) -> list[Element]:
        return [Element(labels(server="a"), 1.0), Element(labels(), 2.0)]

    made = await enrichment(two)(notification(linked(resolved(server="a"))))
    assert made.alerts[0].resolved_value is None
