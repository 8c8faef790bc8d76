"""Rule files: what is taken, and the exact words for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.datasource.expansion import LANGUAGE
from alerter.rules import rulefile
from alerter.rules.rules import AlertRule, RecordRule, RuleFile, RuleFileError, rule_keys
from alerter.tools.check import shown

BAD = sorted((Path(__file__).parent / "bad_rules").glob("*.yml"))


def read(text: str, path: str = "node.yml") -> list[str]:
    return [str(mistake) for mistake in rulefile.parse(text, path, LANGUAGE, 15.0).mistakes]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_mistake_has_its_place_and_its_words(path: Path) -> None:
    """A file's first lines are comments `# line:column: words`, one for each mistake it has."""
    text = path.read_text(encoding="utf-8")
    expected = [line[2:] for line in text.splitlines() if line.startswith("# ") and line[2:3].isdigit()]
    assert read(text, "f") == [f"f:{line}" for line in expected]


def test_there_is_a_bad_file_for_every_class_of_mistake() -> None:
    assert len(BAD) >= 20


def test_a_file_is_read_as_prometheus_reads_it() -> None:
    text = """
groups:
- name: g
  interval: 1m
  limit: 3
  query_offset: 30s
  labels: {team: ops, severity: info}
  rules:
  - record: job:x:sum
    expr: sum by (job) (x)
  - alert: A
    expr: |
      x > 0
    for: 1h30m
    keep_firing_for: 0
    labels: {severity: page, n: 5, yes: no, empty: }
    annotations: {summary: "{{ $value }}"}
- name: defaults
  rules: []
"""
    file = rulefile.parse(text, "f", LANGUAGE, 15.0)
    assert file.mistakes == ()
    first, second = file.groups
    assert (first.interval_s, first.limit, first.query_offset_s, second.interval_s) == (60.0, 3, 30.0, 15.0)
    labels = (("empty", ""), ("n", "5"), ("severity", "page"), ("team", "ops"), ("yes", "no"))
    annotations = (("summary", "{{ $value }}"),)
    assert first.rules == (
        RecordRule("job:x:sum", "sum by (job) (x)", (("severity", "info"), ("team", "ops")), 9),
        AlertRule("A", "x > 0\n", 5_400.0, 0.0, labels, annotations, 11),
    )


@pytest.mark.parametrize("text", ["", "\n", "groups:\n", "groups: []\n", "# nothing\n"])
def test_an_empty_file_has_no_groups_and_no_mistake(text: str) -> None:
    assert rulefile.parse(text, "f", LANGUAGE, 15.0) == RuleFile("f")


def test_every_public_rule_file_is_read(shared: Path) -> None:
    files = [rulefile.read(str(path), LANGUAGE, 15.0) for path in sorted((shared / "rules-corpus").iterdir())]
    assert [mistake for file in files for mistake in file.mistakes] == []
    assert sum(len(group.rules) for file in files for group in file.groups) == 234


def test_all_mistakes_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: ')'}, {alert: B}]}]")
    with pytest.raises(RuleFileError) as error:
        rulefile.load([str(tmp_path / "a.yml"), str(tmp_path / "b.yml"), str(tmp_path / "c.yml")], LANGUAGE, 15.0)
    assert len(error.value.mistakes) == 5
    assert str(error.value).endswith("(and 4 more)")
    assert "c.yml: No such file or directory" in str(error.value.mistakes[-1])


def test_a_file_that_is_not_text_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"groups:\n- name: \xff\xfe\n")
    (mistake,) = rulefile.read(str(tmp_path / "x.yml"), LANGUAGE, 15.0).mistakes
    assert str(mistake).endswith("x.yml:2:1: not UTF-8 text")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    file = rulefile.parse(text, "f", LANGUAGE, 15.0)
    assert all(mistake.message for mistake in file.mistakes)


def test_a_caret_stands_under_the_mistake() -> None:
    text = 'groups:\n- name: g\n  rules:\n  - {alert: A, expr: "up >"}\n'
    (mistake,) = rulefile.parse(text, "f", LANGUAGE, 15.0).mistakes
    line, caret = shown(mistake, text.splitlines())[1:]
    assert line[: len(caret)].endswith('"up >"')


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("'up >'", "'"),
        ('up == 1 and\n      down{a="b" == 1', "== 1"),
        ("'a and\n      rate(b)'", "b)'"),
        (">-\n      sum(up)\n      + on (a) rate(up)", "up)"),
        ("|\n      sum(up)\n        + on (a) rate(up)", "up)"),
        ("|\n      sum(up) >\n", ""),
    ],
)
def test_a_mistake_in_an_expression_of_several_lines_is_where_it_stands_in_the_file(written: str, rest: str) -> None:
    text = f"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {written}\n"
    (mistake,) = rulefile.parse(text, "f", LANGUAGE, 15.0).mistakes
    assert text.rstrip().splitlines()[mistake.line - 1][mistake.column - 1 :] == rest
    assert text.rstrip().endswith(rest)


def test_a_rule_keeps_its_key_when_others_come_and_go() -> None:
    one = "groups: [{name: g, rules: [{alert: A, expr: x}, {alert: A, expr: y}, {alert: A, expr: x, labels: {a: b}}]}]"
    two = "groups: [{name: g, rules: [{alert: Z, expr: z}, {alert: A, expr: q}, {alert: A, expr: x, labels: {a: b}}]}]"
    first, second = (rule_keys(rulefile.parse(text, "f", LANGUAGE, 15.0).groups[0]) for text in (one, two))
    assert len(set(first)) == 3
    assert second[1:] == [first[0], first[2]]
