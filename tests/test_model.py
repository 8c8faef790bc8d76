"""The words every room uses."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import (
    Family,
    Matcher,
    MatchType,
    MetricType,
    SeriesIndex,
    compile_regex,
    format_value,
    make_labels,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (75.3, "75.3"),
        (100.0, "100"),
        (51.846000000000004, "51.846000000000004"),
        (1e-6, "0.000001"),
        (9.5e-7, "9.5e-07"),
        (1e-10, "1e-10"),
        (5e-324, "5e-324"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.1e22, "-1.1e+22"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_value_is_written_as_prometheus_writes_it(value: float, text: str) -> None:
    assert format_value(value) == text


@given(st.floats(allow_nan=False))
def test_a_written_value_reads_back_bit_for_bit(value: float) -> None:
    back = float(format_value(value))
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


@pytest.mark.parametrize(
    ("kind", "pattern", "value", "holds"),
    [
        (MatchType.EQUAL, "", "", True),
        (MatchType.EQUAL, "a", "ab", False),
        (MatchType.NOT_EQUAL, "a", "", True),
        (MatchType.REGEX, "a", "ab", False),
        (MatchType.REGEX, "a|b", "b", True),
        (MatchType.REGEX, "a.b", "a\nb", True),
        (MatchType.REGEX, ".*", "", True),
        (MatchType.NOT_REGEX, ".+", "", True),
        (MatchType.NOT_REGEX, "a|b", "b", False),
        (MatchType.REGEX, "서버-[0-9]+", "서버-12", True),
    ],
)
def test_a_matcher_holds_as_prometheus_says(kind: MatchType, pattern: str, value: str, holds: bool) -> None:
    assert Matcher(kind, "x", pattern).matches(value) is holds


@pytest.mark.parametrize("pattern", ["(", "a{1001}", r"(?=x)", "[z-a]", "*"])
def test_a_regex_that_cannot_be_compiled_says_why(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"error parsing regexp: .+"):
        compile_regex(pattern)


def test_a_label_set_is_sorted_and_has_no_empty_values() -> None:
    assert make_labels({"b": "2", "a": "1", "c": ""}) == (("a", "1"), ("b", "2"))


def test_an_index_names_its_series() -> None:
    family = Family("cpu", MetricType.GAUGE, "CPU.")
    index = SeriesIndex(family, "cpu", ("server", "core"), (("web-01", "0"), ("web-02", "")))
    assert index.labels(0) == (("__name__", "cpu"), ("core", "0"), ("server", "web-01"))
    assert index.labels(1) == (("__name__", "cpu"), ("server", "web-02"))


def test_the_words_and_the_parser_do_not_load_numpy() -> None:
    program = "import sys, exporter.model, exporter.promql.parser, alerter.model; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
