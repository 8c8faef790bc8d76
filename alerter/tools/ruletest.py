"""`test`: unit tests of rules in promtool's own format, with promtool's verdicts.

Source: prometheus/cmd/promtool/unittest.go.
"""

from __future__ import annotations

import asyncio
import glob
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from alerter.datasource.expansion import LANGUAGE, RuleTemplates
from alerter.datasource.querier import QueryError
from alerter.loops.group_loop import GroupLoop, Surroundings
from alerter.model import Alert, AlertState
from alerter.rules import rulefile
from alerter.rules.rules import AlertRule, Group, RuleFileError
from alerter.state.board import Board
from alerter.tools import unit_file
from alerter.tools.unit_database import UnitDatabase
from alerter.tools.unit_file import AlertTest, ExpectedAlert, ExprTest, UnitTest, UnitTestError, duration_ms, number
from alerter.tools.unit_series import parse_labels, parse_values
from exporter.duration import format_duration
from exporter.model import Labels, format_value

_TOLERANCE = 1e-12
_DEFAULT_INTERVAL_MS = 60_000


def test(files: Sequence[str], out: TextIO) -> int:
    """Run the tests of all files and say what failed; 0 if nothing did, 1 otherwise."""
    failed = False
    for path in files:
        print(f"Unit Testing:  {path}", file=out)
        try:
            failures = asyncio.run(_run_file(path, out))
        except (UnitTestError, RuleFileError, QueryError) as err:
            failures = [str(err)]
        failed |= bool(failures)
        print("  FAILED:" if failures else "  SUCCESS", file=out)
        for failure in failures:
            print("    " + failure.replace("\n", "\n    "), file=out)
        print(file=out)
    return 1 if failed else 0


async def _run_file(path: str, out: TextIO) -> list[str]:
    """What failed in a file. Raises UnitTestError, RuleFileError."""
    file = unit_file.read(path)
    interval_ms = duration_ms(file.evaluation_interval, "evaluation_interval") or _DEFAULT_INTERVAL_MS
    rule_files = _rule_files(file.rule_files, Path(path).parent, out)
    groups = _ordered(rulefile.load(rule_files, LANGUAGE, interval_ms / 1_000), file.group_eval_order)
    failures: list[str] = []
    for test in file.tests:
        found = await _Run(test, groups, interval_ms, file.fuzzy_compare).failures()
        failures += [f"name: {test.name},\n{failure}" if test.name else failure for failure in found]
    return failures


def _rule_files(patterns: Iterable[str], folder: Path, out: TextIO) -> list[str]:
    """The files the patterns name, beside the file of tests; one that names none is a warning, as in promtool."""
    paths: list[str] = []
    for pattern in patterns:
        found = sorted(glob.glob(str(folder / pattern)))  # noqa: PTH207 (patterns may be absolute)
        if not found:
            print(f"  WARNING: no file matches pattern {pattern}", file=out)
        paths += found
    return paths


def _ordered(groups: Sequence[Group], names: Sequence[str]) -> tuple[Group, ...]:
    order: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in order:
            raise UnitTestError(f"group name repeated in evaluation order: {name}")
        order[name] = index
    return tuple(sorted(groups, key=lambda group: order.get(group.name, 0) if order else 0))


def _texts(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value or "" for name, value in values.items()}


class _Run:
    """One test: its series, its rules evaluated over it, and what does not agree."""

    def __init__(self, test: UnitTest, groups: Sequence[Group], interval_ms: int, fuzzy: bool) -> None:
        self._test = test
        self._interval_ms = interval_ms
        self._fuzzy = fuzzy
        self._database = UnitDatabase()
        self._loops = [GroupLoop(group, self._world()) for group in groups]
        self._load()

    def _world(self) -> Surroundings:
        templates = RuleTemplates(
            self._database.query,
            external_labels=_texts(self._test.external_labels),
            external_url=self._test.external_url,
            timeout_s=60.0,
        )
        return Surroundings(
            query=self._database.query,
            templates=templates,
            board=Board(),
            saved=lambda loop, t, steps: None,
            now=lambda: 0.0,
            sleep=asyncio.sleep,
            link=lambda expr: "",
            writer=self._database,
        )

    def _load(self) -> None:
        """Put in the input series; of two with the same labels the last one."""
        step_ms = duration_ms(self._test.interval, "interval") or self._interval_ms
        try:
            series = {parse_labels(each.series): parse_values(each.values) for each in self._test.input_series}
            for labels, values in series.items():
                for index, value in enumerate(values):
                    if value is not None:
                        self._database.put(labels, index * step_ms, value)
        except ValueError as err:
            raise UnitTestError(str(err)) from None

    async def failures(self) -> list[str]:
        """What does not agree."""
        tests = self._test
        alert_times = sorted({duration_ms(each.eval_time, "eval_time") for each in tests.alert_rule_test})
        expr_times = [duration_ms(each.eval_time, "eval_time") for each in tests.promql_expr_test]
        got: dict[int, dict[str, list[Alert]]] = {}
        failures: list[str] = []
        for t_ms in range(0, max([*alert_times, *expr_times, 0]) + 1, self._interval_ms):
            if errors := await self._evaluate(t_ms):
                return failures + errors
            for at in alert_times:
                if t_ms <= at < t_ms + self._interval_ms:
                    got[at] = self._firing()
        failures += [failure for each in tests.alert_rule_test for failure in _alerts_differ(each, got)]
        for each in tests.promql_expr_test:
            failures += await self._expr_differs(each)
        return failures

    async def _evaluate(self, t_ms: int) -> list[str]:
        """Evaluate all groups whose turn it is; returns the errors of rules."""
        self._database.until_ms = t_ms
        errors = []
        for loop in self._loops:
            await loop.evaluate(t_ms / 1_000)
            for rule, run in zip(loop.group.rules, loop.runs, strict=True):
                if run.last_error:
                    errors.append(f"rule: {rule.name}, time: {format_duration(t_ms)}, err: {run.last_error}")
        return errors

    def _firing(self) -> dict[str, list[Alert]]:
        firing: dict[str, list[Alert]] = {}
        for loop in self._loops:
            for rule, run in zip(loop.group.rules, loop.runs, strict=True):
                if isinstance(rule, AlertRule):
                    found = [alert for alert in run.state.active if alert.state is AlertState.FIRING]
                    firing.setdefault(rule.name, []).extend(found)
        return firing

    async def _expr_differs(self, test: ExprTest) -> list[str]:
        t_ms = duration_ms(test.eval_time, "eval_time")
        where = f'expr: "{test.expr}", time: {format_duration(t_ms)},'
        try:
            found = await self._database.query(test.expr, t_ms / 1_000)
            expected = [(_expected_labels(each.labels), number(each.value)) for each in test.exp_samples]
        except (QueryError, ValueError) as err:
            return [f"{where} err: {err}"]
        got = [(element.labels, element.value) for element in found]
        if self._same(sorted(expected), sorted(got)):
            return []
        return [f"{where}\n    exp: {_samples(expected)}\n    got: {_samples(got)}"]

    def _same(self, expected: Sequence[tuple[Labels, float]], got: Sequence[tuple[Labels, float]]) -> bool:
        if [labels for labels, _ in expected] != [labels for labels, _ in got]:
            return False
        pairs = zip(expected, got, strict=True)
        return all(self._equal(wanted, value) for (_, wanted), (_, value) in pairs)

    def _equal(self, wanted: float, value: float) -> bool:
        """Whether a value is what was wanted; NaN is nothing's equal, but in fuzzy comparisons."""
        if self._fuzzy and math.isnan(wanted):
            return math.isnan(value)
        return wanted == value or (self._fuzzy and math.isclose(wanted, value, rel_tol=_TOLERANCE))


def _alerts_differ(test: AlertTest, got: dict[int, dict[str, list[Alert]]]) -> list[str]:
    if not test.alertname:
        return [f"an item under alert_rule_test misses required attribute alertname at eval_time {test.eval_time}"]
    t_ms = duration_ms(test.eval_time, "eval_time")
    expected = sorted(_expected_alert(each, test.alertname) for each in test.exp_alerts)
    found = sorted((alert.labels, _present(alert.annotations)) for alert in got[t_ms].get(test.alertname, []))
    if expected == found:
        return []
    where = f"alertname: {test.alertname}, time: {format_duration(t_ms)},"
    return [f"{where}\n    exp: {_alerts(expected)}\n    got: {_alerts(found)}"]


def _expected_alert(expected: ExpectedAlert, name: str) -> tuple[Labels, Labels]:
    labels = {**_texts(expected.exp_labels), "alertname": name}
    return tuple(sorted(labels.items())), _present(tuple(sorted(_texts(expected.exp_annotations).items())))


def _present(annotations: Labels) -> Labels:
    return tuple(sorted(annotations))


def _expected_labels(text: str) -> Labels:
    return () if text.strip() in ("", "{}") else parse_labels(text)


def _labels(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def _alerts(alerts: Sequence[tuple[Labels, Labels]]) -> str:
    shown = [f"\n        Labels:{_labels(labels)}\n        Annotations:{_labels(texts)}" for labels, texts in alerts]
    return "[" + ",".join(shown) + ("\n        ]" if shown else "]")


def _samples(samples: Sequence[tuple[Labels, float]]) -> str:
    return ", ".join(f"{_labels(labels)} {format_value(value)}" for labels, value in samples) or "nil"
