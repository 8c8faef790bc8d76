"""`test`: the same verdicts as promtool on the same files."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest

from alerter.tools.ruletest import test as run_tests
from alerter.tools.unit_series import STALE, parse_labels, parse_values
from exporter.model import make_labels
from tests.servers import binary

RULES = """
groups:
- name: recorded
  rules:
  - {record: "job:up:sum", expr: sum by (job) (up), labels: {kind: sum}}
- name: alerts
  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: "{{ if eq $labels.job \\"db\\" }}page{{ else }}warn{{ end }}"}
    annotations: {summary: "{{ $labels.instance }} is {{ $value }}", all: '{{ query "up" | len }}'}
  - {alert: Few, expr: "job:up:sum < 2", keep_firing_for: 3m}
  - {alert: Pending, expr: 'count(ALERTS{alertstate="pending"}) > 0'}
"""
SERIES = """
  input_series:
  - {series: 'up{job="db",instance="a"}', values: '1x2 0x5 1x5'}
  - {series: 'up{job="db",instance="b"}', values: '1x5 stale _x3 1x5'}
  - {series: 'up{job="web",instance="c"}', values: '1+0x20'}
"""
PAGE = "{exp_labels: {severity: page, job: db, instance: a}, exp_annotations: {summary: a is 0, all: '3'}}"
CASES = {
    "nothing fires at the start": ("alert_rule_test: [{eval_time: 0, alertname: Down}]", True),
    "not yet": ("alert_rule_test: [{eval_time: 4m, alertname: Down, exp_alerts: []}]", True),
    "fires": (f"alert_rule_test: [{{eval_time: 5m, alertname: Down, exp_alerts: [{PAGE}]}}]", True),
    "fires between evaluations": (
        f"alert_rule_test: [{{eval_time: 5m30s, alertname: Down, exp_alerts: [{PAGE}]}}]",
        True,
    ),
    "is not expected": ("alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: []}]", False),
    "other annotation": (
        "alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: ["
        "{exp_labels: {severity: page, job: db, instance: a}, exp_annotations: {summary: b}}]}]",
        False,
    ),
    "annotations missing": (
        "alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: ["
        "{exp_labels: {severity: page, job: db, instance: a}}]}]",
        False,
    ),
    "a stale series is gone": ("alert_rule_test: [{eval_time: 8m, alertname: Down, exp_alerts: []}]", False),
    "kept firing": (
        "alert_rule_test: [{eval_time: 11m, alertname: Few, exp_alerts: ["
        "{exp_labels: {job: db, kind: sum}}, {exp_labels: {job: web, kind: sum}}]}]",
        True,
    ),
    "kept no longer": (
        "alert_rule_test: [{eval_time: 14m, alertname: Few, exp_alerts: [{exp_labels: {job: web, kind: sum}}]}]",
        True,
    ),
    "alerts are seen by later rules": (
        "alert_rule_test: [{eval_time: 4m, alertname: Pending, exp_alerts: [{}]}]",
        True,
    ),
    "an alert that no rule has": ("alert_rule_test: [{eval_time: 1m, alertname: Nope, exp_alerts: []}]", True),
    "no alertname": ("alert_rule_test: [{eval_time: 1m}]", False),
    "recorded": (
        "promql_expr_test: [{expr: 'job:up:sum', eval_time: 3m, exp_samples: ["
        '{labels: \'job:up:sum{job="db",kind="sum"}\', value: 1},'
        '{labels: \'job:up:sum{job="web",kind="sum"}\', value: 1}'
        "]}]",
        True,
    ),
    "recorded otherwise": ("promql_expr_test: [{expr: 'job:up:sum', eval_time: 3m, exp_samples: []}]", False),
    "arithmetic": (
        "promql_expr_test: [{expr: 'sum(up) * 1e3', eval_time: 0, exp_samples: [{labels: '{}', value: 3e3}]}]",
        True,
    ),
    "a wrong value": (
        "promql_expr_test: [{expr: 'sum(up)', eval_time: 0, exp_samples: [{labels: '{}', value: 4}]}]",
        False,
    ),
    "infinite": ("promql_expr_test: [{expr: '1 / 0', eval_time: 0, exp_samples: [{labels: '', value: .Inf}]}]", True),
    "no promql": ("promql_expr_test: [{expr: 'sum(', eval_time: 0}]", False),
    "an unknown key": ("alert_rules_test: []", False),
    "a bad duration": ("alert_rule_test: [{eval_time: soon, alertname: Down}]", False),
}


def verdict(path: Path) -> bool:
    done = subprocess.run([binary("promtool"), "test", "rules", str(path)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_promtools(case: str, tmp_path: Path) -> None:
    checks, good = CASES[case]
    (tmp_path / "rules.yml").write_text(RULES)
    path = tmp_path / "test.yml"
    path.write_text(f"rule_files: [rules.yml]\ntests:\n- interval: 1m\n{SERIES}\n  {checks}\n")
    out = io.StringIO()
    assert (run_tests([str(path)], out) == 0, verdict(path)) == (good, good), out.getvalue()


VALUES = (
    *("1+1x10 _x3 stale", "1x3", "_", "0x3", "-1", "1e3", "0x1F", "NaN", "-Inf", "inf", "1-1x3", "1+-1x3", "stalex3"),
    *("_x0", "1x0", "", "1,2", "1 2 3x", "1+1", "1 x3", "1e3x2", "1.5+.5x3", ".5", "5.", "Infx2", "NaNx2", "1+Infx2"),
    *("-Inf+1x2", "1X3", "1+2x1.5", "1_000", "_1", "١", "1 2\n3", "1 # c", "0b11", "017"),
)
NUMBERS = (
    "4",
    "'4'",
    "4.0",
    "0x4",
    "0b100",
    "04",
    "0o4",
    "4e0",
    "4_",
    "+4",
    ".inf",
    "+Inf",
    "NaN",
    ".nan",
    "1:30",
    "08",
)
ODD = {
    **{f"values {text!r}": f"{{series: a, values: {json.dumps(text)}}}|{{expr: 'vector(1)'}}" for text in VALUES},
    **{
        f"value {text}": f"{{series: a, values: 4}}|{{expr: a + 0, exp_samples: [{{value: {text}}}]}}"
        for text in NUMBERS
    },
    **{
        f"series {text!r}": f"{{series: {json.dumps(text)}, values: 4}}|{{expr: 'a', exp_samples: []}}"
        for text in ("{}", "b", 'b{x="1",}', 'b{x!="1"}', 'b{x="1",x="2"}', "b[5m]", "1", "b b", "b offset 5m", "b.c")
    },
    "of two equal series the last": (
        "{series: a, values: 3}, {series: a, values: 4}|{expr: a, exp_samples: [{labels: a, value: 4}]}"
    ),
    "no expected labels": "{series: a, values: 4}|{expr: a + 0, exp_samples: [{labels: , value: 4}]}",
    "an empty expected sample": "{series: a, values: 0}|{expr: a + 0, exp_samples: [null]}",
}


@pytest.mark.parametrize("case", ODD)
def test_the_verdict_on_odd_texts_is_promtools(case: str, tmp_path: Path) -> None:
    series, expr = ODD[case].split("|")
    path = tmp_path / "test.yml"
    wanted = expr if "exp_samples" in expr else expr[:-1] + ", exp_samples: [{labels: '{}', value: 1}]}"
    path.write_text(f"tests:\n- interval: 1m\n  input_series: [{series}]\n  promql_expr_test: [{wanted}]\n")
    out = io.StringIO()
    assert (run_tests([str(path)], out) == 0) == verdict(path), out.getvalue()


WHOLE = {
    "nothing": "",
    "a list": "[]",
    "an empty test": "tests: [null]",
    "only the first document counts": "tests: []\n---\na: 1",
    "a key twice": "tests: []\ntests: []",
    "a group twice in the order": "group_eval_order: [a, a]",
    "an unknown group in the order": "group_eval_order: [nope]",
    "no interval": "evaluation_interval: 0s",
    "no such rule file": "rule_files: [nope*.yml]",
    "nothing is seen after the last evaluation": (
        "tests:\n- interval: 30s\n  input_series: [{series: a, values: 1+1x9}]\n"
        "  promql_expr_test: [{expr: a, eval_time: 90s, exp_samples: [{labels: a, value: 4}]}]"
    ),
    "an expected empty label": (
        "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  alert_rule_test: [{alertname: Few, eval_time: 1m,"
        " exp_alerts: [{exp_labels: {x: ''}}]}]\n  input_series: [{series: up, values: 1x9}]"
    ),
    "two rules that record one series": (
        "rule_files: [twice.yml]\ntests:\n- interval: 1m\n  promql_expr_test: [{expr: vector(1), eval_time: 1m,"
        " exp_samples: [{value: 1}]}]"
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_the_verdict_on_odd_files_is_promtools(case: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    twice = "groups: [{name: g, rules: [{record: a, expr: time()}, {record: a, expr: time() * 2}]}]"
    (tmp_path / "twice.yml").write_text(twice)
    path = tmp_path / "test.yml"
    path.write_text(WHOLE[case])
    out = io.StringIO()
    assert (run_tests([str(path)], out) == 0) == verdict(path), out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "rule_files: [bad.yml]\ntests: [{}]",
        "evaluation_interval: x",
        "tests: [{input_series: [{series: 'up{', values: '1'}]}]",
        "tests: [{input_series: [{series: up, values: '1 b'}]}]",
        "tests: {}",
        "- a",
        "a: [",
    ],
)
def test_a_file_that_cannot_be_run_fails_in_both(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: (}]}]")
    path = tmp_path / "test.yml"
    path.write_text(text)
    out = io.StringIO()
    assert (run_tests([str(path)], out), verdict(path)) == (1, False)
    assert "FAILED" in out.getvalue()


def test_a_pattern_that_names_no_file_is_a_warning_in_both(tmp_path: Path) -> None:
    path, out = tmp_path / "test.yml", io.StringIO()
    path.write_text("rule_files: [nothing.yml]")
    assert (run_tests([str(path)], out), verdict(path)) == (0, True)
    assert "WARNING: no file matches pattern nothing.yml" in out.getvalue()


def test_the_shipped_rules_pass_their_tests() -> None:
    files = sorted(str(path) for path in (Path(__file__).parents[2] / "rules" / "tests").glob("*.yml"))
    assert files
    assert run_tests(files, io.StringIO()) == 0
    assert all(verdict(Path(path)) for path in files)


def test_a_failure_shows_what_was_expected_and_what_came(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    path = tmp_path / "test.yml"
    path.write_text(
        f"rule_files: [rules.yml]\ntests:\n- name: mine\n  interval: 1m\n{SERIES}\n  {CASES['is not expected'][0]}\n"
    )
    out = io.StringIO()
    run_tests([str(path)], out)
    assert "    name: mine,\n    alertname: Down, time: 5m,\n        exp: []\n        got: [" in out.getvalue()
    assert 'Labels:{alertname="Down", instance="a", job="db", severity="page"}' in out.getvalue()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 -2.5 1e3 0x2", [1, -2.5, 1000, 0, 0, 0]),
        ("_ _x2 7", [None, None, None, 7]),
        ("4x2", [4, 4, 4]),
        ("1+2x3 -1-1x2", [1, 3, 5, 7, -1, -2, -3]),
        ("", []),
    ],
)
def test_values_are_read_as_promtool_reads_them(text: str, values: list[float | None]) -> None:
    assert list(parse_values(text)) == values


def test_a_stale_marker_has_its_own_bits() -> None:
    import struct

    (value,) = parse_values("stale")
    assert value is not None
    assert struct.pack("<d", value) == struct.pack("<d", STALE)


def test_a_series_is_a_label_set() -> None:
    assert parse_labels('up{a="b"}') == make_labels({"__name__": "up", "a": "b"})
    with pytest.raises(ValueError, match="only name="):
        parse_labels('up{a=~"b"}')
