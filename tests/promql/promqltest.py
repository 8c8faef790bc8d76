"""Prometheus' test language: scripts that load series and say what queries over them give.

`cases` reads a script; `check` evaluates one case, and again in the ways that Prometheus' own runner does:
as the middle of a range, and with `@` on every selector, at other times.
Source: prometheus/promql/promqltest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from exporter.duration import parse_duration
from exporter.model import METRIC_NAME, STALE_NAN_BITS, Labels, make_labels
from exporter.promql.answer import Answer, Matrix, RangeVector, Scalar, String, Vector
from exporter.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
    walk,
)
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError, ParseError
from exporter.promql.gotext import parse_number, unquote
from exporter.promql.invariance import TIME_DEPENDENT
from exporter.promql.parser import parse
from exporter.promql.question import RangeQuery
from tests.promql.memory import Memory

STALE = float(np.array([STALE_NAN_BITS], dtype=np.int64).view(np.float64)[0])
_STEP_MS = 60_000
_CONTEXT = re.compile(r"(start|end|range|step)\(\)")
_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)")
_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(\S+))?\s+(.+)")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(msg|regex):(.+))?")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_LABEL = re.compile(
    r"""\s*(?:([A-Za-z_]\w*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`))\s*(?:=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`))?\s*(,|\})"""
)
_ITEM = re.compile(
    r"(?P<value>[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|NaN|Inf|nan|inf)|stale|_)(?P<step>[-+](?:[0-9.]+(?:[eE][-+]?[0-9]+)?|NaN|Inf))?(?:x(?P<times>[0-9]+))?"
)


class Mismatch(AssertionError):
    """The answer is not the one that the script gives."""


@dataclass(frozen=True)
class Expectation:
    """`expect fail msg: …`: with neither text nor pattern, anything will do."""

    kind: str
    text: str | None = None
    pattern: str | None = None

    def accepts(self, message: str) -> bool:
        if self.text is not None:
            return message == self.text
        return self.pattern is None or re.search(self.pattern, message) is not None


@dataclass
class Case:
    """One `eval`. Times in Unix ms; `step_ms` is 0 for an instant query."""

    line: int
    query: str
    start_ms: int
    end_ms: int
    step_ms: int = 0
    expectations: list[Expectation] = field(default_factory=list)
    series: dict[Labels, list[float | None]] = field(default_factory=dict)
    scalar: float | None = None
    string: str | None = None
    points_ms: tuple[int, int, int] | None = None  # from, to, step of an expected range vector

    def expects(self, kind: str) -> list[Expectation]:
        return [one for one in self.expectations if one.kind == kind]


def cases(path: Path) -> Iterator[tuple[Case, Memory]]:
    """The script's cases, each with the data loaded by then. Cases with native histograms are left out."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = ["" if line.startswith("#") else line for line in lines]
    memory = Memory()
    at = 0
    while at < len(lines):
        command = lines[at].split(" ")[0].lower()
        end = next((i for i in range(at, len(lines)) if not lines[i]), len(lines))
        if command == "clear":
            memory = Memory()
            at += 1
        elif command.startswith("load"):
            memory = _loaded(memory, lines[at], lines[at + 1 : end])
            at = end
        elif command.startswith("eval"):
            case = _case(at + 1, lines[at], lines[at + 1 : end])
            if case is not None:
                yield case, memory
            at = end
        else:
            at += 1


def _loaded(memory: Memory, command: str, lines: list[str]) -> Memory:
    match = _LOAD.fullmatch(command)
    assert match is not None, command
    step_ms = parse_duration(match[2])
    loaded = Memory({labels: dict(points) for labels, points in memory.samples.items()})
    new: dict[Labels, list[float | None]] = {}
    for line in lines:
        if "{{" in line or "@st" in line.split(" ")[0]:
            continue
        labels, values = parse_series(line)
        new[labels] = values
    for labels, values in new.items():
        for i, value in enumerate(values):
            if value is not None:
                loaded.put(labels, i * step_ms, value)
    return loaded


def parse_series(line: str) -> tuple[Labels, list[float | None]]:
    """`metric{a="b"} 1 2+1x3 _`: the label set and the values, None where there is none."""
    name = re.match(r"[^\s{]*", line)
    at = name.end() if name else 0
    pairs = {METRIC_NAME: line[:at]} if at else {}
    rest = line[at:].lstrip()
    if rest.startswith("{"):
        at = 1
        while not rest[at:].lstrip().startswith("}"):
            match = _LABEL.match(rest, at)
            assert match is not None, line
            label = match[1] or unquote(match[2])
            if match[3] is None:
                pairs[METRIC_NAME] = label
            else:
                pairs[label] = unquote(match[3])
            at = match.end() - (1 if match[4] == "}" else 0)
        rest = rest[at:].lstrip()[1:]
    values: list[float | None] = []
    for item in rest.split():
        values.extend(_values(item))
    return make_labels(pairs), values


def _values(item: str) -> Iterator[float | None]:
    match = _ITEM.fullmatch(item)
    assert match is not None, f"cannot read {item!r}"
    times = None if match["times"] is None else int(match["times"])
    if match["value"] == "_":
        yield from [None] * (1 if times is None else times)
        return
    value = STALE if match["value"] == "stale" else _signed(match["value"])
    step = _signed(match["step"]) if match["step"] else 0.0
    for _ in range(1 if times is None else times + 1):
        yield value
        value = STALE if match["value"] == "stale" else value + step


def _signed(text: str) -> float:
    number = parse_number(text.lstrip("+-"))
    return -number if text.startswith("-") else number


def _case(line: int, command: str, lines: list[str]) -> Case | None:
    instant, ranged = _INSTANT.fullmatch(command), _RANGE.fullmatch(command)
    if instant is not None:
        at_ms = parse_duration(instant[2] or "0")
        case = Case(line, instant[3], at_ms, at_ms)
        modifier = instant[1]
    else:
        assert ranged is not None, command
        start, end, step = (parse_duration(ranged[i]) for i in (2, 3, 4))
        case = Case(line, ranged[5], start, end, step)
        modifier = ranged[1]
    if modifier:
        case.expectations.append(Expectation(modifier))
    for expected in lines:
        if "{{" in expected:
            return None
        if not _read_expected(case, expected):
            break
    return case


def _read_expected(case: Case, line: str) -> bool:
    """Whether more lines may follow."""
    if line.startswith("expected_fail_message"):
        case.expectations.append(Expectation("fail", text=line.removeprefix("expected_fail_message").strip()))
        return False
    if line.startswith("expected_fail_regexp"):
        case.expectations.append(Expectation("fail", pattern=line.removeprefix("expected_fail_regexp").strip()))
        return False
    if line.startswith("expect range vector"):
        match = _EXPECT_RANGE.fullmatch(line)
        assert match is not None, line
        case.points_ms = (parse_duration(match[1]), parse_duration(match[2]), parse_duration(match[3]))
        case.start_ms = case.end_ms = case.points_ms[1]
        return True
    if line.startswith("expect string"):
        case.string = unquote(line.removeprefix("expect string").strip())
        return True
    if line.split(" ")[0] == "expect":
        match = _EXPECT.fullmatch(line)
        assert match is not None, line
        text = match[3].strip() if match[3] else None
        is_message = match[2] == "msg"
        case.expectations.append(Expectation(match[1], text if is_message else None, None if is_message else text))
        return True
    try:
        case.scalar = parse_number(line)
    except ValueError:
        labels, values = parse_series(line)
        case.series[labels] = values
        return True
    return False


def check(case: Case, memory: Memory) -> None:
    """Raises Mismatch unless the case holds, however it is evaluated."""
    engine = Engine(memory, max_samples=10_000, duration_expressions=True)
    if case.step_ms:
        _check_range(case, engine)
        return
    for query, at_ms in [(case.query, case.start_ms), *pinned(case.query, case.start_ms)]:
        _check_instant(replace(case, query=query), engine, at_ms)


def _check_range(case: Case, engine: Engine) -> None:
    try:
        answer = engine.range(RangeQuery(case.query, case.start_ms, case.end_ms, case.step_ms))
    except (ParseError, ExecutionError) as err:
        _check_failure(case, err)
        return
    _check_no_failure(case)
    _check_notes(case, answer)
    _check_value(case, answer, (case.start_ms, case.end_ms, case.step_ms))


def _check_instant(case: Case, engine: Engine, at_ms: int) -> None:
    try:
        answer = engine.instant(case.query, at_ms)
    except (ParseError, ExecutionError) as err:
        _check_failure(case, err)
        return
    _check_no_failure(case)
    _check_notes(case, answer)
    _check_value(case, answer, case.points_ms)
    if case.points_ms is None and case.string is None and not _CONTEXT.search(case.query):
        _check_middle(case, engine, at_ms)


def _check_middle(case: Case, engine: Engine, at_ms: int) -> None:
    matrix = engine.range(RangeQuery(case.query, at_ms - _STEP_MS, at_ms + _STEP_MS, _STEP_MS)).value
    if case.expects("ordered"):
        return
    assert isinstance(matrix, Matrix)
    _check_sorted(matrix.labels)
    found = {labels: dict(zip(t.tolist(), v.tolist(), strict=True)) for labels, t, v in matrix.series()}
    points = {labels: values[at_ms] for labels, values in found.items() if at_ms in values}
    if case.scalar is not None:
        _check_points({(): [case.scalar]}, {(): [points[()]]}, f"{case.query} in the middle of a range")
    else:
        _check_points(
            case.series, {labels: [v] for labels, v in points.items()}, f"{case.query} in the middle of a range"
        )


def _check_failure(case: Case, err: Exception) -> None:
    expected = case.expects("fail")
    if not expected:
        raise Mismatch(f"{case.query}: {type(err).__name__}: {err}")
    for one in expected:
        if not one.accepts(str(err)):
            raise Mismatch(f"{case.query}: failed with {err}, expected {one}")


def _check_no_failure(case: Case) -> None:
    if case.expects("fail"):
        raise Mismatch(f"{case.query}: no error, expected {case.expects('fail')}")


def _check_notes(case: Case, answer: Answer) -> None:
    for kind, told in (("warn", answer.warnings), ("info", answer.infos)):
        expected = case.expects(kind)
        if case.expects(f"no_{kind}") and told:
            raise Mismatch(f"{case.query}: unexpected {kind}: {told}")
        if not expected:
            continue
        for one in expected:
            if not any(one.accepts(message) for message in told):
                raise Mismatch(f"{case.query}: no {kind} like {one} among {told}")
        for message in told:
            if not any(one.accepts(message) for one in expected):
                raise Mismatch(f"{case.query}: unexpected {kind} {message!r}")


def _check_value(case: Case, answer: Answer, points_ms: tuple[int, int, int] | None) -> None:
    value = answer.value
    if isinstance(value, String):
        if value.value != case.string:
            raise Mismatch(f"{case.query}: {value.value!r}, expected {case.string!r}")
    elif isinstance(value, Scalar):
        if case.scalar is None:
            raise Mismatch(f"{case.query}: a scalar, expected series")
        _check_points({(): [case.scalar]}, {(): [value.value]}, case.query)
    elif isinstance(value, Vector):
        found = {labels: [v] for labels, v in zip(value.labels, value.values.tolist(), strict=True)}
        if case.expects("ordered") and list(case.series) != list(value.labels):
            raise Mismatch(f"{case.query}: order {list(value.labels)}, expected {list(case.series)}")
        _check_points(case.series, found, case.query)
    else:
        _check_matrix(case, value, points_ms)


def _check_matrix(case: Case, value: Matrix | RangeVector, points_ms: tuple[int, int, int] | None) -> None:
    assert points_ms is not None, f"{case.query}: a matrix, without the times of its points"
    start, _, step = points_ms
    _check_sorted(value.labels)
    found = {labels: dict(zip(t.tolist(), v.tolist(), strict=True)) for labels, t, v in value.series()}
    expected = {
        labels: {start + i * step: v for i, v in enumerate(values) if v is not None}
        for labels, values in case.series.items()
    }
    for labels in {*found, *expected}:
        if found.get(labels, {}).keys() != expected.get(labels, {}).keys():
            raise Mismatch(f"{case.query}: {labels}: {found.get(labels)}, expected {expected.get(labels)}")
    _check_points(
        {labels: list(points.values()) for labels, points in expected.items()},
        {labels: [found[labels][t] for t in expected[labels]] for labels in found},
        case.query,
    )


def _check_sorted(labels: object) -> None:
    if list(labels) != sorted(labels):  # type: ignore[call-overload]  # sequences of label sets
        raise Mismatch("a matrix is not sorted by labels")


def _check_points(expected: dict[Labels, list[float | None]], found: dict[Labels, list[float]], what: str) -> None:
    if expected.keys() != found.keys():
        raise Mismatch(f"{what}: series {found}, expected {expected}")
    for labels, values in expected.items():
        for want, got in zip(values, found[labels], strict=True):
            if want is None or not almost_equal(got, want):
                raise Mismatch(f"{what}: {labels}: {found[labels]}, expected {values}")


def almost_equal(a: float, b: float, epsilon: float = 1e-6) -> bool:
    """As the runner there compares. Source: prometheus/util/almost."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    total, difference = abs(a) + abs(b), abs(a - b)
    smallest = 2.2250738585072014e-308
    if a == 0 or b == 0 or total < smallest:
        return difference < epsilon * smallest
    return difference / min(total, 1.7976931348623157e308) < epsilon


def pinned(query: str, at_ms: int) -> list[tuple[str, int]]:
    """The query with `@` on every selector that has none, and the times at which it must give the same."""
    try:
        expr = parse(query, duration_expressions=True)
    except ParseError:
        return []
    if any(isinstance(node, Call) and node.name in TIME_DEPENDENT for node in walk(expr)):
        return []
    text = str(_pinned(expr, at_ms))
    times = (-10 * at_ms, 0, at_ms // 5, at_ms, 10 * at_ms) if at_ms else (-1000, 0, 1000)
    return [(text, t) for t in times]


def _pinned(expr: Expr, at_ms: int) -> Expr:
    match expr:
        case VectorSelector():
            return expr if isinstance(expr.at, int) else replace(expr, at=at_ms)
        case MatrixSelector():
            return replace(expr, selector=_pinned(expr.selector, at_ms))  # type: ignore[arg-type]  # a selector again
        case Subquery():
            # pinned itself, so what is inside it is not
            return replace(expr, at=expr.at if isinstance(expr.at, int) else at_ms)
        case Paren() | Unary():
            return replace(expr, expr=_pinned(expr.expr, at_ms))
        case Binary():
            return replace(expr, left=_pinned(expr.left, at_ms), right=_pinned(expr.right, at_ms))
        case Aggregation():
            param = None if expr.param is None else _pinned(expr.param, at_ms)
            return replace(expr, expr=_pinned(expr.expr, at_ms), param=param)
        case Call():
            return replace(expr, args=tuple(_pinned(arg, at_ms) for arg in expr.args))
        case _:
            return expr
