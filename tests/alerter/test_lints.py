"""What `check` warns of."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from alerter.config import Config
from alerter.datasource.expansion import LANGUAGE
from alerter.rules import rulefile
from alerter.tools.check import Metrics, check
from alerter.tools.lints import lint
from tests.servers import Servers, free_port

TYPES = {"errors_total": "counter", "temperature": "gauge", "openmanager_http_requests_total": "counter"}


def warned(expr: str, *, use: str = "", for_: str = "0") -> list[str]:
    template = "{{ $labels." + use + " }}" if use else "x"
    text = (
        f"groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', for: {for_}, annotations: {{s: '{template}'}}}}]}}]"
    )
    file = rulefile.parse(text, "f", LANGUAGE, 15.0)
    assert file.mistakes == ()
    return [each.warning.message.removeprefix("warning: group 'g': alert 'A': ") for each in lint(file, 15.0, TYPES)]


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("sum by (job) (up) > 1", "sum by (job)"),
        ("sum(up) > 1", "sum by ()"),
        ("avg without (server) (up) > 1", "avg without (server)"),
        ("sum without (x) (sum by (job) (up)) > 1", "sum by (job)"),
        ("(sum by (job) (up) * 100) > 1", "sum by (job)"),
        ("sum by (job) (a) / on (job) sum by (job) (b) > 1", "sum by (job)"),
        ("topk(3, sum by (job) (up)) > 1", "sum by (job)"),
        ("1 < sum by (job) (up)", "sum by (job)"),
    ],
)
def test_a_label_that_the_query_drops_is_missed_in_the_text(expr: str, why: str) -> None:
    assert warned(expr, use="server") == [f"a template uses $labels.server, but the query drops it: {why}"]


@pytest.mark.parametrize(
    "expr",
    [
        "up > 1",
        "sum by (server) (up) > 1",
        "rate(x[5m]) > 1",
        "sum without (job) (up) > 1",
        "sum by (job) (a) or up > 1",
        "sum by (job) (a) * on (job) group_left (server) b > 1",
        'count_values("server", up) > 1',
        'label_replace(sum by (job) (up), "server", "$1", "job", "(.*)") > 1',
    ],
)
def test_a_label_that_may_be_there_is_no_warning(expr: str) -> None:
    assert warned(expr, use="server") == []


def test_a_wait_shorter_than_the_interval_is_a_warning() -> None:
    said = "for 10s is shorter than the group's interval: it fires after 15s at the earliest"
    assert warned("up == 0", for_="10s") == [said]
    assert warned("up == 0", for_="15s") == []


@pytest.mark.parametrize(
    ("expr", "warns"),
    [("up", True), ("up == bool 0", True), ("absent(up)", False), ("a unless b", False), ("vector(1)", False)],
)
def test_an_alert_without_a_condition_is_a_warning(expr: str, warns: bool) -> None:
    assert bool(warned(expr)) is warns


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("rate(errors_total[10s]) > 1", "rate() over 10s finds nothing where samples are 15s apart"),
        ("rate(errors_total[15s]) > 1", ""),
        ("rate(temperature[5m]) > 1", "rate() of temperature, which is a gauge: counters alone have a rate"),
        ("delta(temperature[5m]) > 1", ""),
        ("errors_total > 100", "errors_total is a counter: compare its rate() or increase()"),
        ("errors_total == 0", ""),
        ('up{job=~"node"} == 0', 'job=~"node" is no pattern: write job="node"'),
        ('up{job!~"node"} == 0', 'job!~"node" is no pattern: write job!="node"'),
        ('up{job=~".*"} == 0', 'job=~".*" matches everything'),
        ('up{job=~".+|"} == 0', ""),
        ("sum by (a) (x) > on (b) sum by (b) (y)", "> on (b) finds nothing: the left side drops it: sum by (a)"),
        ("sum by (b) (x) > on (b) sum by (b) (y)", ""),
        ("sum by (a) (x) > on () y", ""),
    ],
)
def test_what_an_expression_hardly_means_is_a_warning(expr: str, said: str) -> None:
    assert warned(expr.replace("'", "''")) == ([said] if said else [])


def test_a_label_of_absent_that_is_not_matched_with_equals_is_missed() -> None:
    assert warned('absent(up{job="x"})', use="job") == []
    assert len(warned('absent(up{job="x"})', use="server")) == 1


RULES = """groups:
- name: g
  interval: 1m
  rules:
  - alert: A
    expr: up == 0
    keep_firing_for: 10s
    labels:
      was: "{{ $value | humanize }}"
      level: '{{ if gt $value 5.0 }}high{{ else }}low{{ end }}'
  - alert: B
    expr: rate(x[10s]) > 1
    annotations:
      other: "{{ $labels.job }}"
      s: '{{ index $labels "core" }}'
  - alert: B
    expr: rate(x[10s])   > 1
"""


def test_each_warning_stands_where_its_cause_stands(tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_text(RULES.replace("rate(x[10s]) >", "sum by (job) (rate(x[10s])) >"))
    out = io.StringIO()
    check([str(path)], Config(), out)
    places = [
        line.split(": warning: ")[0].removeprefix(f"{path}:")
        for line in out.getvalue().splitlines()
        if "warning: " in line
    ]
    assert places == ["7:5", "9:7", "12:31", "15:29", "17:17"]
    assert out.getvalue().endswith("5 warnings\n")


def test_warnings_are_shown_and_fail_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_text("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n")
    out = io.StringIO()
    assert check([str(path)], Config(), out) == 0
    assert f"{path}:4:3: warning: group 'g': alert 'A': expr has no comparison" in out.getvalue()


def test_the_shipped_rules_have_no_warning() -> None:
    for path in (Path(__file__).parents[2] / "rules").glob("*.yml"):
        assert lint(rulefile.read(str(path), LANGUAGE, 15.0), 15.0, TYPES) == []


MISSING = """groups:
- name: g
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: Away
    expr: |
      up{job="x"} == 0
        and gone_total > 1
  - alert: Recorded
    expr: job:up:sum < 1 and on () absent(never_there) and on () (count(ALERTS) > 1)
  - alert: ByMatcher
    expr: '{__name__="hidden_total"} > 1'
"""


def test_a_metric_that_the_datasource_does_not_have_is_warned_of_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_text(MISSING)
    out = io.StringIO()
    assert check([str(path)], Config(), out, Metrics({"up", "gone_total_not"}, {})) == 0
    assert out.getvalue().splitlines()[1:-1] == [
        f"{path}:9:13: warning: group 'g': alert 'Away': the datasource has no metric gone_total",
        "            and gone_total > 1",
        "                ^",
    ]
    out = io.StringIO()
    check([str(path)], Config(), out)
    assert "no metric" not in out.getvalue()


def test_check_asks_the_datasource_that_is_named(servers: Servers, tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_text(MISSING)
    prometheus = servers.prometheus("{}")
    command = [sys.executable, "-m", "alerter", "check", str(path), "--datasource.url"]
    done = subprocess.run([*command, prometheus.url], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.count("the datasource has no metric")) == (0, 3), done.stdout + done.stderr
    nobody = f"http://127.0.0.1:{free_port()}"
    done = subprocess.run([*command, nobody], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
