"""What `check` warns of."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from alerter import rulefile
from alerter.check import check
from alerter.config import Config
from alerter.expansion import LANGUAGE
from alerter.lints import lint


def warned(expr: str, *, use: str = "", for_: str = "0") -> list[str]:
    template = "{{ $labels." + use + " }}" if use else "x"
    text = (
        f"groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', for: {for_}, annotations: {{s: '{template}'}}}}]}}]"
    )
    file = rulefile.parse(text, "f", LANGUAGE, 15.0)
    assert file.mistakes == ()
    return [mistake.message.removeprefix("warning: group 'g': alert 'A': ") for mistake in lint(file)]


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


def test_warnings_are_shown_and_fail_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_text("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n")
    out = io.StringIO()
    assert check([str(path)], Config(), out) == 0
    assert f"{path}:4:3: warning: group 'g': alert 'A': expr has no comparison" in out.getvalue()


def test_the_shipped_rules_have_no_warning() -> None:
    for path in (Path(__file__).parents[2] / "rules").glob("*.yml"):
        assert lint(rulefile.read(str(path), LANGUAGE, 15.0)) == []
