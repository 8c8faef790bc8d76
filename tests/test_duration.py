"""Prometheus durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("15s", 15_000),
        ("1h30m", 5_400_000),
        ("1m30s5ms", 90_005),
        ("2w", 1_209_600_000),
        ("1y", 31_536_000_000),
    ],
)
def test_a_duration_is_read(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "1m1h", "1s1s", "-5s", "1.5h", "s", "5S", " 5s", "300000000y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (1_209_600_000, "2w"), (691_200_000, "8d"), (5_400_000, "1h30m"), (-300_000, "-5m")]
)
def test_a_duration_is_printed_as_prometheus_prints_it(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@given(st.integers(min_value=0, max_value=9 * 10**12))
def test_what_is_printed_reads_back(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms
