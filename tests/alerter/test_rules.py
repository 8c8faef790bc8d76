"""The shipped rules: as specified, and accepted by Prometheus' own tool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from alerter.datasource.expansion import LANGUAGE
from alerter.rules import rulefile
from alerter.rules.rules import AlertRule
from exporter.promql.answer import Matrix
from exporter.promql.engine import Engine
from exporter.promql.question import RangeQuery
from exporter.simulation.fleet import make_fleet
from exporter.simulation.simulator import Simulator
from exporter.storage.database import Database
from exporter.storage.open import open_store
from tests.servers import binary

FOLDER = Path(__file__).parents[2] / "rules"
FILES = sorted(FOLDER.glob("*.yml"))
CPU_TEXT = "CPU usage is {{ $value }}% on server {{ $labels.server }}"
MEMORY_TEXT = "Memory usage is {{ $value }}% on server {{ $labels.server }}"
SPECIFIED = {
    "HighCPUUsage": ("openmanager_cpu_usage_percent > 80", "5m", "warning", "High CPU usage", CPU_TEXT),
    "CriticalCPUUsage": ("openmanager_cpu_usage_percent > 95", "2m", "critical", "Critical CPU usage", CPU_TEXT),
    "HighMemoryUsage": ("openmanager_memory_usage_percent > 85", "5m", "warning", "High memory usage", MEMORY_TEXT),
}


def test_promtool_and_the_alerter_accept_them() -> None:
    done = subprocess.run([binary("promtool"), "check", "rules", *map(str, FILES)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert [file.mistakes for file in (rulefile.read(str(path), LANGUAGE, 15.0) for path in FILES)] == [()] * len(FILES)


def test_cpu_and_memory_are_exactly_as_specified() -> None:
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    for name, (expr, wait, severity, summary, description) in SPECIFIED.items():
        assert rules[name] == {
            "alert": name,
            "expr": expr,
            "for": wait,
            "labels": {"severity": severity},
            "annotations": {"summary": f"{summary} on {{{{ $labels.server }}}}", "description": description},
        }
    assert {"HighDiskUsage", "CriticalDiskUsage", "DiskWillFill"} <= set(rules)


def alert_rules() -> list[AlertRule]:
    files = [rulefile.read(str(path), LANGUAGE, 15.0) for path in FILES]
    rules = [rule for file in files for group in file.groups for rule in group.rules]
    return [rule for rule in rules if isinstance(rule, AlertRule)]


def test_every_file_has_unit_tests_that_name_every_alert() -> None:
    for path in FILES:
        tests = yaml.safe_load((FOLDER / "tests" / f"{path.stem}_test.yml").read_text(encoding="utf-8"))["tests"]
        groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        checked = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
        assert checked == {rule["alert"] for group in groups for rule in group["rules"]}


def test_whoever_is_woken_reads_what_to_do() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for rule in (rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]):
            if rule["alert"] in SPECIFIED:  # whose annotations are given
                assert re.search(rf"# Runbook: .+\.\n +- alert: {rule['alert']}\n", text)
            else:
                assert rule["annotations"]["runbook"].endswith(".")


MONDAY_MS = 1_772_438_400_000  # 2026-03-02T08:00:00Z
MINUTE_MS = 60_000
HOURS = 6


@pytest.fixture(scope="module")
def healthy() -> Iterator[Database]:
    """The busiest hours of the busiest day of twenty servers without an incident, a tick a minute."""
    database = Database(open_store("memory:"))
    simulator = Simulator(make_fleet(20), seed=3, interval_ms=MINUTE_MS)
    for snapshot in simulator.ticks(MONDAY_MS, MONDAY_MS + HOURS * 60 * MINUTE_MS):
        database.append(snapshot)
    yield database
    database.close()


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule.name)
def test_a_healthy_fleet_is_quiet(rule: AlertRule, healthy: Database) -> None:
    end_ms = MONDAY_MS + HOURS * 60 * MINUTE_MS
    answer = Engine(healthy).range(RangeQuery(rule.expr, MONDAY_MS + 10 * MINUTE_MS, end_ms, MINUTE_MS)).value
    assert isinstance(answer, Matrix)
    fired = [labels for labels, t_ms, _ in answer.series() if _longest_ms(t_ms) >= rule.for_s * 1_000]
    assert fired == []


def _longest_ms(t_ms: NDArray[np.int64]) -> int:
    """How long a series was there without a gap, from its first minute to its last."""
    runs = np.split(t_ms, np.flatnonzero(np.diff(t_ms) > MINUTE_MS) + 1)
    return max(int(run[-1] - run[0]) for run in runs)
