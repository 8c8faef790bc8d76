"""Which numbers rules compare metrics with."""

from __future__ import annotations

import pytest

from exporter.rule_thresholds import thresholds


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cpu > 80", {"cpu": (80.0,)}),
        ("80 < cpu", {"cpu": (80.0,)}),
        ("cpu > 80 and mem >= -(5)", {"cpu": (80.0,), "mem": (-5.0,)}),
        ("avg_over_time(cpu[5m]) > bool 80 or cpu == 0", {"cpu": (0.0, 80.0)}),
        ("a / b > 0.9", {"a": (0.9,), "b": (0.9,)}),
        ("cpu + 5", {}),
        ("cpu >", {}),
    ],
)
def test_the_numbers_of_comparisons_are_found(query: str, found: dict[str, tuple[float, ...]]) -> None:
    assert thresholds([query]) == found


def test_rules_of_one_metric_add_up() -> None:
    assert thresholds(["cpu > 80", "cpu > 95"]) == {"cpu": (80.0, 95.0)}
