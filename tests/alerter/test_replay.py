"""Expressions in two, answers asked for in advance, and a past that rules write into."""

from __future__ import annotations

import pytest

from alerter.datasource.querier import QueryError, RangeSeries
from alerter.decisions.evaluation import Element
from alerter.tools.answers import Answers
from alerter.tools.replay import Replay
from alerter.tools.split import split
from exporter.model import make_labels

MADE = frozenset({"job:x", "ALERTS"})
ASKED = '__asked__{part="%d"}'
UP = make_labels({"__name__": "up"})


@pytest.mark.parametrize(
    ("expr", "rest", "parts"),
    [
        ("up == 0", "", ["up == 0"]),
        ("job:x > 80", "job:x > 80", []),
        ("a + b + c * job:x + d", f"{ASKED % 0} + {ASKED % 1} * job:x + {ASKED % 2}", ["a + b", "c", "d"]),
        ("1 + 2 - job:x", "1 + 2 - job:x", []),
        (
            "rate(a[5m]) > on () group_left () avg(ALERTS)",
            f"{ASKED % 0} > on () group_left () avg(ALERTS)",
            ["rate(a[5m])"],
        ),
        ("scalar(a) + 1 > job:x", f"scalar({ASKED % 0}) + 1 > job:x", ["a"]),
        ("topk(scalar(n), a) and job:x", f"{ASKED % 0} and job:x", ["topk(scalar(n), a)"]),
        ("max_over_time((a - job:x)[10m:1m])", "max_over_time((a - job:x)[10m:1m])", []),
        ('a unless {__name__=~"job:.*"}', ASKED % 0 + ' unless {__name__=~"job:.*"}', ["a"]),
        ("-a + job:x", f"{ASKED % 0} + job:x", ["-a"]),
    ],
)
def test_the_largest_parts_that_read_nothing_made_here_are_asked(expr: str, rest: str, parts: list[str]) -> None:
    found = split(expr, MADE)
    assert (found.rest, list(found.parts)) == (rest, parts)


def test_what_depends_on_the_edges_of_a_range_is_asked_instant_by_instant() -> None:
    assert split("a @ end() > 1", MADE).only_at_once
    assert not split("a @ 10 > 1", MADE).only_at_once


class Past:
    """A past in which `up` is 1, a range that holds a `bad` instant is an error, and requests are counted."""

    def __init__(self, bad: frozenset[int] = frozenset(), shift_s: float = 0.0) -> None:
        self.bad, self.shift_s = bad, shift_s
        self.requests = 0
        self.sampled: list[tuple[str, float, float]] = []

    async def instant(self, expr: str, t: float) -> list[Element]:
        self.requests += 1
        if round(t * 1_000) in self.bad:
            raise QueryError(f"bad at {t:g}", reachable=True)
        return [Element(UP, 1.0)]

    async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]:
        self.requests += 1
        times = [start + n * step_s for n in range(round((end - start) / step_s) + 1)]
        if any(round(t * 1_000) in self.bad for t in times):
            raise QueryError("bad somewhere", reachable=True)
        return [RangeSeries(UP, tuple((t + self.shift_s, 1.0) for t in times))]

    async def samples(self, selector: str, t: float, range_s: float) -> list[RangeSeries]:
        self.sampled.append((selector, t, range_s))
        return [RangeSeries(make_labels({"__name__": "job:x"}), ((t - 30, 5.0), (t, 6.0)))]


async def test_an_error_belongs_to_its_instant_and_costs_few_requests() -> None:
    instants = [1_000_000 + n * 15_000 for n in range(1_000)]
    past = Past(frozenset({instants[700]}))
    answers = Answers(past)
    await answers.ask("up", instants, 15_000, only_at_once=False)
    with pytest.raises(QueryError, match="bad at"):
        answers.get("up", instants[700])
    assert all(answers.get("up", t) == [Element(UP, 1.0)] for t in instants if t != instants[700])
    assert past.requests < 40
    await answers.ask("up", instants, 15_000, only_at_once=False)
    assert past.requests < 40, "asked for once"


async def test_a_server_that_answers_at_other_times_is_no_past_to_walk_through() -> None:
    with pytest.raises(QueryError, match=r"answered with 20.0, at which nobody asked"):
        await Answers(Past(shift_s=5.0)).ask("up", [15_000], 15_000, only_at_once=False)


async def test_a_datasource_that_cannot_be_reached_ends_it() -> None:
    class Away(Past):
        async def range(self, expr: str, start: float, end: float, step_s: float) -> list[RangeSeries]:
            raise QueryError("nobody there")

    with pytest.raises(QueryError, match="nobody there"):
        await Answers(Away()).ask("up", [0], 1_000, only_at_once=False)


async def test_what_rules_write_counts_from_the_beginning_and_what_was_there_before_it() -> None:
    past = Past()
    replay = Replay(past, MADE, start=1_000.0)
    made = make_labels({"__name__": "job:x"})
    await replay.write([Element(made, 7.0), Element(UP, 1.0)], [], 1_000.0)
    assert [each.value for each in await replay.query("job:x", 1_000.0)] == [7.0]
    assert [each.value for each in await replay.query("sum_over_time(job:x[2m])", 1_000.0)] == [5.0 + 6.0 + 7.0]
    assert [each.value for each in await replay.query("sum_over_time(job:x[1m30s])", 1_015.0)] == [5.0 + 6.0 + 7.0]
    assert len(past.sampled) == 1, "once for five minutes back, and no more"
    await replay.write([], [made], 1_015.0)
    assert await replay.query("job:x", 1_015.0) == []
    assert [each.value for each in await replay.query("up + on () job:x", 1_000.0)] == [8.0]


async def test_what_no_later_query_can_see_is_forgotten() -> None:
    replay = Replay(Past(), MADE, start=0.0)
    made = make_labels({"__name__": "job:x"})
    for t in range(0, 1_200, 15):
        await replay.write([Element(made, float(t))], [], float(t))
    count = "count_over_time(job:x[15m])"
    assert [each.value for each in await replay.query("job:x", 1_185.0)] == [1_185.0]
    replay.forget(1_185.0)  # five minutes back is as far as anybody has looked
    assert [each.value for each in await replay.query(count, 1_185.0)] == [20.0]
