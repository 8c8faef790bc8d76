"""`backtest` as a command and its report."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from alerter.cli import instant
from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Change, Element, Transition
from alerter.rules.rules import AlertRule, Group
from alerter.tools.backtest import Step
from alerter.tools.backtest_report import Report
from exporter.model import make_labels
from tests.alerter.worlds import firing
from tests.servers import Servers

BASE = 1_700_000_100
RULES = """
groups:
- name: g
  interval: 30s
  rules:
  - {alert: Hot, expr: temp > 80, for: 30s}
  - {alert: Clash, expr: 'temp > 80 or label_replace(temp > 80, "twin", "b", "", "")', labels: {twin: same}}
- name: slow
  interval: 1m
  rules:
  - {alert: Warm, expr: temp > 70}
"""


async def fill(url: str) -> None:
    async with RemoteWriter(f"{url}/api/v1/write", 10) as writer:
        for index, value in enumerate([60, 90, 90, 90, 60, 90, 90, 90, 75, 60, 60]):
            labels = make_labels({"__name__": "temp", "server": "a"})
            await writer.write([Element(labels, value)], [], BASE + index * 30)


@pytest.fixture
def past(servers: Servers) -> str:
    url = servers.prometheus("{}", "--web.enable-remote-write-receiver").url
    asyncio.run(fill(url))
    return url


def run(folder: Path, url: str, *arguments: str, rules: str = RULES) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(rules)
    command = [sys.executable, "-m", "alerter", "backtest", "--rules", str(folder / "rules.yml")]
    command += ["--datasource-url", url, "--start", str(BASE), "--end", "2023-11-14T22:20:00Z", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_each_line_is_an_evaluation_of_the_groups_whose_turn_it_is(tmp_path: Path, past: str) -> None:
    done = run(tmp_path, past, "--format", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["t"] - BASE for line in lines] == list(range(0, 301, 30))
    states = [{alert["labels"]["alertname"]: alert["state"] for alert in line["alerts"]} for line in lines]
    assert [state.get("Hot", "") for state in states] == [
        *("", "pending", "firing", "firing", "", "pending", "firing", "firing", "", "", "")
    ]
    assert [state.get("Warm", "") for state in states][::2] == ["", "firing", "", "firing", "firing", ""]
    clash = {"Clash": "vector contains metrics with the same labelset after applying alert labels"}
    assert [line["errors"] for line in lines] == [{}, clash, clash, clash, {}, clash, clash, clash, {}, {}, {}]


def test_the_report_says_how_loud_each_rule_was(tmp_path: Path, past: str) -> None:
    report = json.loads(run(tmp_path, past, "--format", "json").stdout)
    assert report["seconds"] == 300
    rows = {row["rule"]: row for row in report["rules"]}
    hot = rows["Hot"]
    assert (hot["fired"], hot["firing_seconds"], hot["series"], hot["flaps"]) == (2, 120, 1, 1)
    assert hot["pages_per_day"] == 2 * 86_400 / 300
    assert hot["worst"] == [{"labels": {"alertname": "Hot", "server": "a"}, "fired": 2}]
    assert (rows["Clash"]["errors"], rows["Clash"]["fired"]) == (6, 0)
    text = run(tmp_path, past).stdout.splitlines()
    assert text[0].split() == ["rule", "fired", "firing", "for", "series", "flaps", "nearly", "errors", "pages/day"]
    assert len(text) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "soon"], "--start 'soon': neither Unix seconds nor RFC 3339"),
        (["--start", "2e9"], "--end: is before --start"),
        (["--datasource.url", "http://127.0.0.1:1"], "cannot connect to 127.0.0.1:1: Connection refused"),
        (["--rules", "/nowhere.yml"], "/nowhere.yml: no such rule file"),
    ],
)
def test_unusable_input_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(tmp_path, "http://127.0.0.1:1", *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


def test_what_still_fires_at_the_end_has_fired_until_then() -> None:
    report = Report([Group("g", "f", 15.0, (AlertRule("Hot", "x"), AlertRule("Cold", "x")))], 0.0, 100.0)
    report.add(Step(40.0, (), ((0, Transition(40.0, Change.FIRING, firing(t=40.0))),), {}))
    report.add(Step(50.0, (), ((1, Transition(50.0, Change.DROPPED, firing("Cold"))),), {"Cold": "oops"}))
    hot, cold = report.rows()
    assert (hot["rule"], hot["firing_seconds"]) == ("Hot", 60.0)
    assert (cold["pending_only"], cold["errors"]) == (1, 1)


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20+09:00", 1_700_000_000 - 9 * 3_600),
    ],
)
def test_a_time_is_unix_seconds_or_rfc_3339(text: str, t: float) -> None:
    assert instant(text, "--start") == t


RECORDING = """
groups:
- name: g
  interval: 30s
  rules:
  - {record: "job:temp:avg", expr: avg(temp), labels: {job: a}}
  - {alert: Warm, expr: 'job:temp:avg > 70', for: 30s,
     annotations: {seen: '{{ query "job:temp:avg" | first | value }}'}
    }
  - {alert: Rose, expr: 'max_over_time(job:temp:avg[2m1s]) > 80 and job:temp:avg < 70'}
  - {alert: Twice, expr: 'temp > 70 and on () ALERTS{alertname="Warm",alertstate="firing"}'}
  - {alert: Steep, expr: 'max_over_time((temp - on () job:temp:avg)[1m:30s]) > 0'}
"""


def test_rules_see_what_earlier_ones_record_and_what_the_datasource_had_recorded_before(
    tmp_path: Path, past: str
) -> None:
    asyncio.run(recorded_before(past))
    done = run(tmp_path, past, "--format", "jsonl", rules=RECORDING)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = [
        {alert["labels"]["alertname"]: alert["state"][0] for alert in line["alerts"]}
        for line in lines  # 60, 90, 90, 90, 60, 90, 90, 90, 75, 60, 60
    ]
    warm = {"Warm": "f", "Twice": "f"}
    assert found[0] == {"Rose": "f"}  # which only the 85 that the datasource holds can tell
    assert found[1:6] == [{"Warm": "p"}, warm, warm, {"Rose": "f"}, {"Warm": "p"}]
    assert found[6:] == [warm, warm, warm, {"Rose": "f"}, {"Rose": "f"}]
    seen = [alert["annotations"]["seen"] for alert in lines[8]["alerts"] if alert["labels"]["alertname"] == "Warm"]
    assert seen == ["75"]


async def recorded_before(url: str) -> None:
    async with RemoteWriter(f"{url}/api/v1/write", 10) as writer:
        labels = make_labels({"__name__": "job:temp:avg", "job": "a"})
        await writer.write([Element(labels, 85.0)], [], BASE - 45)
        await writer.write([Element(labels, 1.0)], [], BASE + 300)  # what it recorded later counts for nothing
