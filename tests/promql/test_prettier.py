"""Long queries over several lines."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings

from exporter.promql.parser import parse
from exporter.promql.prettier import pretty
from tests.promql.expressions import vectors

RATE = 'rate(apiserver_requests_total{job="apiserver", handler="/api/comments", environment="production"}[5m])'
SHOWN = 'rate(apiserver_requests_total{environment="production",handler="/api/comments",job="apiserver"}[5m])'


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("sum(up)/count(up)", ["sum(up) / count(up)"]),
        (f"sum by (job, code) ({RATE})", ["sum by (job, code) (", f"  {SHOWN}", ")"]),
        (f"topk without (job) (5, {RATE})", ["topk without (job) (", "  5,", f"  {SHOWN}", ")"]),
        (
            f"{RATE} > bool on (job) group_left (x) ({RATE} + 1)",
            [f"  {SHOWN}", "> bool on (job) group_left (x)", "  (", f"      {SHOWN}", "    +", "      1", "  )"],
        ),
        (
            f'label_replace({RATE}, "a", "$1", "b", "(.*)")',
            ["label_replace(", f"  {SHOWN},", '  "a",', '  "$1",', '  "b",', '  "(.*)"', ")"],
        ),
        (f"-sum({RATE} * 2)", ["-sum(", f"    {SHOWN}", "  *", "    2", ")"]),
        (
            f"max_over_time(sum({RATE})[1h:5m] offset 1d)",
            ["max_over_time(", "  sum(", f"    {SHOWN}", "  )[1h:5m] offset 1d", ")"],
        ),
    ],
)
def test_what_is_longer_than_a_line_is_split(query: str, lines: list[str]) -> None:
    assert pretty(parse(query)).split("\n") == lines


@given(vectors)
@settings(max_examples=100, deadline=None)
def test_several_lines_mean_the_same_as_one(query: str) -> None:
    long = f"({query}) + on (job) ({query}) * sum({RATE})"
    text = pretty(parse(long))
    assert "\n" in text
    assert str(parse(text)) == str(parse(long))


@pytest.mark.parametrize("query", [" + ".join(["up"] * 10_000), "(" * 150 + " + ".join(["up"] * 10_000) + ")" * 150])
def test_however_long_a_query_is_it_is_formatted_in_bounds(query: str) -> None:
    began = time.perf_counter()
    text = pretty(parse(query))
    assert len(text) < 2 * len(query)
    assert time.perf_counter() - began < 20
