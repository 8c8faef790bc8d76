"""The door of this room: a query's text in, its answer out."""

from __future__ import annotations

import numpy as np

from exporter.model import Labels, Queryable
from exporter.promql.answer import Answer, Matrix, RangeVector, Scalar, String, Value, Vector
from exporter.promql.arrays import Samples, Times
from exporter.promql.ast import Expr, MatrixSelector, Subquery, without_parens
from exporter.promql.cancellation import Cancellation
from exporter.promql.context import FURTHEST_MS, Context
from exporter.promql.durations import Durations
from exporter.promql.errors import ExecutionError, TooManySamples, WrongExpressionType
from exporter.promql.evaluation import Evaluation
from exporter.promql.parser import parse
from exporter.promql.question import RangeQuery
from exporter.promql.series import Grid, Series, names_dropped
from exporter.promql.signatures import ValueType
from exporter.promql.tally import Tally
from exporter.promql.windows import Windows, blocks_of, blocks_of_series


class Engine:
    """Evaluates PromQL over whatever can be asked for samples. Stateless: any number of threads may use it.

    lookback_ms: how old a sample may be to be seen. max_samples: most samples of a query in memory.
    subquery_step_ms: the step of subqueries that name none.
    duration_expressions: whether the experimental arithmetic on lengths of time is allowed.
    """

    def __init__(
        self,
        queryable: Queryable,
        *,
        lookback_ms: int = 300_000,
        max_samples: int = 50_000_000,
        subquery_step_ms: int = 60_000,
        duration_expressions: bool = False,
    ) -> None:
        self._queryable = queryable
        self._lookback_ms = lookback_ms
        self._max_samples = max_samples
        self._subquery_step_ms = subquery_step_ms
        self._duration_expressions = duration_expressions

    def instant(
        self, query: str, t_ms: int, *, lookback_ms: int | None = None, cancellation: Cancellation | None = None
    ) -> Answer:
        """The value at one instant.

        Raises ParseError, ExecutionError, QueryTimeout, QueryCanceled.
        """
        _check_times(t_ms, t_ms)
        expr = Durations(0.0, 0.0).resolved(self._parsed(query))
        return self._answer(query, expr, Grid.of(t_ms, t_ms, 1), t_ms, lookback_ms, cancellation, is_range=False)

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Answer:
        """The values at every step, a Matrix.

        Raises ParseError, ExecutionError, QueryTimeout, QueryCanceled.
        """
        _check_times(asked.start_ms, asked.end_ms)
        length_ms, step_ms = asked.end_ms - asked.start_ms, asked.step_ms
        expr = Durations(step_ms / 1000, length_ms / 1000).resolved(self._parsed(asked.query))
        if expr.type not in (ValueType.VECTOR, ValueType.SCALAR):
            found = expr.type.documented
            message = f'invalid expression type "{found}" for range query, must be Scalar or instant Vector'
            raise WrongExpressionType(message, asked.query)
        if length_ms // step_ms >= self._max_samples:
            raise TooManySamples
        grid = Grid.of(asked.start_ms, asked.end_ms, step_ms)
        return self._answer(asked.query, expr, grid, asked.end_ms, asked.lookback_ms, cancellation, is_range=True)

    def _parsed(self, query: str) -> Expr:
        return parse(query, duration_expressions=self._duration_expressions)

    def _answer(
        self,
        query: str,
        expr: Expr,
        grid: Grid,
        end_ms: int,
        lookback_ms: int | None,
        cancellation: Cancellation | None,
        *,
        is_range: bool,
    ) -> Answer:
        context = Context(
            queryable=self._queryable,
            start_ms=int(grid.times_ms[0]),
            end_ms=end_ms,
            lookback_ms=self._lookback_ms if lookback_ms is None else lookback_ms,
            default_step_ms=self._subquery_step_ms,
            limit=self._max_samples,
            cancellation=cancellation or Cancellation(),
        )
        tally = Tally(len(grid), self._max_samples)
        with np.errstate(all="ignore"):
            value = _value(expr, context, grid, tally, is_range)
        notes = context.notes
        return Answer(value, notes.warnings(query), notes.infos(query), tally.statistics())


def _check_times(start_ms: int, end_ms: int) -> None:
    for t_ms in (start_ms, end_ms):
        if abs(t_ms) > FURTHEST_MS:
            raise ExecutionError(f"time {t_ms} ms is out of range")


def _value(expr: Expr, context: Context, grid: Grid, tally: Tally, is_range: bool) -> Value:
    try:
        if expr.type is ValueType.MATRIX:
            return _range_vector(without_parens(expr), context, grid, tally)
        result = Evaluation(context, grid, tally).evaluate(expr)
        context.cancellation.check()
    except RecursionError:
        raise ExecutionError("expression is nested too deeply") from None
    t_ms = int(grid.times_ms[0])
    if isinstance(result, str):
        return String(t_ms, result)
    if isinstance(result, Series):
        series = names_dropped(result.pruned())
        return _matrix(series, grid) if is_range else Vector(t_ms, series.labels, series.values[:, 0])
    return Matrix([()], grid.times_ms, result[None, :]) if is_range else Scalar(t_ms, float(result[0]))


def _matrix(series: Series, grid: Grid) -> Matrix:
    order = sorted(range(len(series)), key=series.labels.__getitem__)
    if order != list(range(len(series))):
        series = series.rows(order)
    return Matrix(series.labels, grid.times_ms, series.values, series.present)


def _range_vector(expr: Expr, context: Context, grid: Grid, tally: Tally) -> RangeVector:
    """What `x[5m]` or a subquery gives at one instant."""
    if isinstance(expr, MatrixSelector):
        ends_ms = context.reference_times(grid.times_ms, expr.selector.at, expr.selector.offset_ms)
        start_ms, end_ms = int(ends_ms[0]) - expr.range_ms + 1, int(ends_ms[0])
        blocks = blocks_of(context.select(expr.selector.matchers, start_ms, end_ms))
        range_ms = expr.range_ms
    elif isinstance(expr, Subquery):
        ends_ms = context.reference_times(grid.times_ms, expr.at, expr.offset_ms)
        series, times_ms = Evaluation(context, grid, tally).subquery(expr, ends_ms)
        blocks = blocks_of_series(names_dropped(series), times_ms)
        range_ms = expr.range_ms
    else:
        raise ExecutionError(f"{expr} is no range vector")
    found: list[tuple[Labels, tuple[Times, Samples]]] = []
    for block in blocks:
        windows = Windows.over(block.t_ms, ends_ms, grid.times_ms, range_ms)
        start, end = int(windows.starts[0]), int(windows.ends[0])
        if end > start:
            tally.looked_at((end - start) * len(block.labels))
            points = [(block.t_ms[start:end], row[start:end]) for row in block.values]
            found.extend(zip(block.labels, points, strict=True))
    tally.hold(sum(len(points[0]) for _, points in found))
    found.sort(key=lambda pair: pair[0])
    return RangeVector([labels for labels, _ in found], [points for _, points in found])
