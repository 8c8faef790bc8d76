"""`lab`: what rules catch of failures that are known, how fast, and whom they wake for nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerter.decisions.dispatch import Policy
from alerter.decisions.evaluation import Change, Transition
from alerter.tools.lab_report import Failure, Outcome, Page, Pages, judged
from alerter.tools.tape import Tape, TapePast
from exporter.model import Column, Family, MetricType, SeriesIndex, Snapshot, make_labels
from tests.alerter.worlds import firing

SLOW_AND_LOUD = """
groups:
- name: g
  rules:
  - {alert: Late, expr: openmanager_cpu_usage_percent > 97, for: 8m, labels: {severity: critical}}
  - {alert: Loud, expr: 'openmanager_memory_usage_percent{server="db-01"} > 1'}
  - {record: "job:cpu:avg", expr: avg by (server) (openmanager_cpu_usage_percent)}
  - {alert: Recorded, expr: 'job:cpu:avg > 97', for: 1m}
"""


def lab(folder: Path, rules: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = folder / "rules.yml"
    path.write_text(rules)
    command = [sys.executable, "-m", "alerter", "lab", "--rules", str(path), "--servers", "9", "--interval", "30"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_rules_are_judged_by_the_failures_that_were_really_simulated(tmp_path: Path) -> None:
    scenarios = ("--scenario", "cpu-saturation", "--scenario", "memory-leak", "--scenario", "stuck-value")
    done = lab(tmp_path, SLOW_AND_LOUD, *scenarios, "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    saturated, leaking, stuck = report["failures"]
    assert [each["verdict"] for each in report["failures"]] == ["caught", "missed", "missed"]
    assert (report["caught"], report["missed"], report["good"]) == (1, 2, False)
    assert (bool(leaking["expected"]), bool(stuck["expected"])) == (True, False)
    assert {page["alertname"] for page in saturated["pages"]} == {"Late", "Recorded"}
    assert {page["server"] for page in saturated["pages"]} == set(saturated["servers"])
    assert 60 <= saturated["time_to_detect_seconds"] <= 180  # Recorded, after a minute
    assert 0 <= saturated["time_to_resolve_seconds"] <= 120
    assert saturated["expected_but_silent"] == ["HighCPUUsage", "CriticalCPUUsage"]
    assert (leaking["pages"], leaking["time_to_detect_seconds"]) == ([], None)
    assert [page["alertname"] for page in report["false_pages"]] == ["Loud"]
    assert report["false_pages"][0]["end"] is None


def test_the_shipped_rules_miss_nothing_and_the_report_is_a_table(tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[2] / "rules" / "cpu_alerts.yml").read_text(encoding="utf-8")
    done = lab(tmp_path, shipped, "--scenario", "cpu-saturation", "--rounds", "2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    heads, first, second, _, said = done.stdout.splitlines()
    assert heads.split()[:4] == ["scenario", "verdict", "detected", "after"]
    assert [row.split()[:2] for row in (first, second)] == [["cpu-saturation", "caught"]] * 2
    assert said.endswith("simulated: 2 caught, 0 missed, 0 false pages")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "earthquake"], "--scenario earthquake: must be one of api-overload-cascade, "),
        (["--scenario", "ddos", "--servers", "0"], "argument --servers: invalid"),
        (["--rules", "/nowhere.yml"], "/nowhere.yml: no such rule file"),
    ],
)
def test_unusable_input_is_exit_code_2(arguments: Sequence[str], said: str, tmp_path: Path) -> None:
    done = lab(tmp_path, SLOW_AND_LOUD, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def step(change: Change, t: float, **labels: str) -> Transition:
    return Transition(t, change, firing(t=t, **labels))


def test_a_page_is_a_group_from_its_first_alert_to_its_last() -> None:
    pages = Pages(Policy())
    for each in (
        step(Change.PENDING, 1.0, server="a", core="0"),
        step(Change.FIRING, 2.0, server="a", core="0"),
        step(Change.FIRING, 3.0, server="a", core="1"),
        step(Change.RESOLVED, 4.0, server="a", core="0"),
        step(Change.RESOLVED, 5.0, server="a", core="1"),
        step(Change.FIRING, 6.0, server="a", core="1"),
        step(Change.FIRING, 7.0, server="b"),
    ):
        pages.note(each)
    assert [(page.label("server"), page.start, page.end) for page in pages.pages] == [
        ("a", 2.0, 5.0),
        ("a", 6.0, None),
        ("b", 7.0, None),
    ]


def page(server: str, start: float, end: float | None = None, name: str = "Hot") -> Page:
    return Page(make_labels({"alertname": name, "server": server}), start, end)


def test_a_page_belongs_to_the_latest_failure_that_touches_its_server() -> None:
    both, later = Failure("x", 100, 200, frozenset("ab")), Failure("y", 150, 300, frozenset("b"))
    mine = [page("a", 100, 210), page("a", 249, 250), page("b", 160, 170), page("", 120, 130)]
    false = [page("a", 99), page("a", 251), page("c", 160), page("b", 351)]
    report = judged([both, later], [*mine, *false], after_s=50, span_s=1_000)
    assert [(each.label("server"), each.start) for each in report.false_pages] == [
        ("a", 99),
        ("c", 160),
        ("a", 251),
        ("b", 351),
    ]
    first, second = report.outcomes
    assert [each.start for each in first.pages] == [100, 120, 249]
    assert (first.detected_s, first.resolved_s, first.flaps) == (0, 50, 1)
    assert (second.detected_s, second.resolved_s, second.flaps) == (10, 0, 0)


def test_what_still_fires_is_not_resolved_and_what_was_expected_is_named() -> None:
    failure = Failure("x", 100, 200, frozenset("a"), ("Hot", "Cold"))
    outcome = Outcome(failure, (page("a", 110, 120), page("a", 130, None)))
    assert (outcome.resolved_s, outcome.silent) == (None, ("Cold",))
    missed = [Outcome(each, ()) for each in (failure, Failure("y", 1, 2, frozenset()))]
    assert [(each.verdict, each.fails) for each in missed] == [("missed", True), ("missed", False)]


async def test_a_series_that_is_gone_is_stale_at_once_and_comes_back() -> None:
    family = Family("up", MetricType.GAUGE, "")
    both = SeriesIndex(family, "up", ("server",), (("a",), ("b",)))
    one = SeriesIndex(family, "up", ("server",), (("a",),))
    rows: list[tuple[SeriesIndex, list[float]]] = [(both, [1, 2]), (one, [3]), (one, [4]), (both, [5, 6])]
    snapshots = [Snapshot(15_000 * n, (Column(index, np.array(values)),)) for n, (index, values) in enumerate(rows)]
    past = TapePast(Tape(snapshots, ["up"]))
    found: list[Any] = [{dict(e.labels)["server"]: e.value for e in await past.instant("up", 15 * n)} for n in range(4)]
    assert found == [{"a": 1, "b": 2}, {"a": 3}, {"a": 4}, {"a": 5, "b": 6}]
    b = next(each for each in await past.range("up", 0, 45, 15) if dict(each.labels)["server"] == "b")
    assert b.points == ((0.0, 2.0), (45.0, 6.0))
