"""Which numbers rules compare metrics with."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.rule_thresholds import of_alerter, thresholds
from tests.process.house import House
from tests.servers import Servers


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


def test_they_are_read_from_an_alerter(servers: Servers) -> None:
    house = House(servers, "memory:")
    rules = Path(__file__).resolve().parents[1] / "rules" / "cpu_alerts.yml"
    house.alerter(rules.read_text())
    assert of_alerter(house.alerter_url) == {"openmanager_cpu_usage_percent": (80.0, 95.0)}


def test_an_alerter_that_is_away_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        of_alerter("http://127.0.0.1:9")
