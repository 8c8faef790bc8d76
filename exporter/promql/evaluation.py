"""One expression over a grid of steps: every node once, for all series and all steps.

Source: prometheus/promql/engine.go, eval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from exporter.model import Wanted
from exporter.promql import aggregations, matching, ranking
from exporter.promql.arithmetic import COMPARISONS, OPERATORS
from exporter.promql.arrays import Samples, Times
from exporter.promql.ast import (
    NOWHERE,
    SET_OPERATORS,
    TRIMS,
    Aggregation,
    Binary,
    Call,
    Expr,
    Matching,
    MatrixSelector,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
    without_parens,
)
from exporter.promql.calls import Given, Result, absence, call
from exporter.promql.context import Context
from exporter.promql.errors import ExecutionError
from exporter.promql.gotext import quote
from exporter.promql.labelsets import metric_name
from exporter.promql.range_functions import RANGE_FUNCTIONS, RangeFunction
from exporter.promql.relabelling import is_label_name
from exporter.promql.selection import instant_vectors
from exporter.promql.series import Grid, Series, concatenated
from exporter.promql.tally import Tally
from exporter.promql.windows import Block, Windows, blocks_of, blocks_of_series

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


class Evaluation:
    """Evaluates parts of one query over one grid; subqueries and invariant parts get one of their own."""

    def __init__(self, context: Context, grid: Grid, tally: Tally) -> None:
        self._context = context
        self._grid = grid
        self._tally = tally

    def evaluate(self, expr: Expr) -> Result:
        """The value at every step. Raises ExecutionError, QueryTimeout, QueryCanceled."""
        self._context.cancellation.check()
        if len(self._grid) > 1 and self._context.is_invariant(expr):
            return self._once(expr)
        held = self._tally.held
        result = self._node(expr)
        self._tally.release_to(held)
        self._tally.hold(result.count() if isinstance(result, Series) else len(self._grid))
        return result

    def _once(self, expr: Expr) -> Result:
        """Evaluated at the first step, and the same at all others."""
        child = self._tally.child(1)
        result = Evaluation(self._context, self._grid.first(), child).evaluate(expr)
        self._tally.absorb(child)
        self._tally.looked_at(child.total())
        if isinstance(result, str):
            return result
        steps = len(self._grid)
        self._tally.hold(steps * (result.count() if isinstance(result, Series) else 1))
        if not isinstance(result, Series):
            return np.broadcast_to(result, (steps,))
        shape = (len(result), steps)
        present = None if result.present is None else np.broadcast_to(result.present, shape)
        return replace(result, values=np.broadcast_to(result.values, shape), present=present)

    def _node(self, expr: Expr) -> Result:
        match expr:
            case NumberLiteral():
                return np.full(len(self._grid), expr.value)
            case StringLiteral():
                return expr.value
            case Paren():
                return self.evaluate(expr.expr)
            case Unary():
                return self._unary(expr)
            case Binary():
                return self._chain(expr)
            case Aggregation():
                return self._aggregation(expr)
            case Call():
                return self._call(expr)
            case VectorSelector():
                return self._selector(expr)
            case MatrixSelector() | Subquery():
                raise ExecutionError("a range vector can only be the argument of a function here")

    def _series(self, expr: Expr) -> Series:
        result = self.evaluate(expr)
        if not isinstance(result, Series):
            raise ExecutionError(f"{expr} is no instant vector")
        return result

    def _scalar(self, expr: Expr) -> Samples:
        result = self.evaluate(expr)
        if not isinstance(result, np.ndarray):
            raise ExecutionError(f"{expr} is no scalar")
        return result

    # --- selectors --------------------------------------------------------------------------

    def _selector(self, expr: VectorSelector, *, timestamps: bool = False) -> Series:
        context = self._context
        at_ms = context.reference_times(self._grid.times_ms, expr.at, expr.offset_ms)
        start_ms = int(at_ms[0]) - context.lookback_ms + 1
        sets = context.select(expr.matchers, start_ms, int(at_ms[-1]))
        self._tally.require(sum(len(one.labels) for one in sets) * len(at_ms))
        series = instant_vectors(sets, at_ms, context.lookback_ms, timestamps=timestamps)
        self._tally.looked_at(_points_per_step(series))
        return series

    # --- operators --------------------------------------------------------------------------

    def _unary(self, expr: Unary) -> Result:
        value = self.evaluate(expr.expr)
        if expr.op == "+" or isinstance(value, str):
            return value
        return value.mapped(-value.values) if isinstance(value, Series) else -value

    def _chain(self, expr: Binary) -> Result:
        """`a + b - c …` from the left, without recursion, as it may be long."""
        first, chain = expr.spine()
        known = 0
        if len(self._grid) > 1:  # the beginning of the chain that is the same at every step
            while known < len(chain) and self._context.is_invariant(chain[known]):
                known += 1
        left = self._once(chain[known - 1]) if known else self.evaluate(first)
        for node in chain[known:]:
            self._context.cancellation.check()
            left = self._binary(node, left, self.evaluate(node.right))
        return left

    def _binary(self, node: Binary, left: Result, right: Result) -> Result:
        if isinstance(left, str) or isinstance(right, str):
            raise ExecutionError("operators do not take strings")
        if isinstance(left, Series):
            if isinstance(right, Series):
                return self._vectors(node, left, right)
            return self._with_scalar(node, left, right, swapped=False)
        if isinstance(right, Series):
            return self._with_scalar(node, right, left, swapped=True)
        return _scalars(node, left, right)

    def _vectors(self, node: Binary, left: Series, right: Series) -> Series:
        rule = node.matching or Matching()
        if node.op in SET_OPERATORS:
            return matching.set_operation(node.op, left, right, rule)
        if node.op in TRIMS:
            return self._trimmed(node, matching.operation("+", left, right, rule, False, self._tally.require))
        return matching.operation(node.op, left, right, rule, node.return_bool, self._tally.require)

    def _trimmed(self, node: Binary, series: Series) -> Series:
        """`</` and `>/` cut native histograms; floats have nothing to cut."""
        if len(series):
            self._context.notes.incompatible_types(node.op, node.span)
        return series.rows([])

    def _with_scalar(self, node: Binary, series: Series, scalar: Samples, *, swapped: bool) -> Series:
        if node.op in TRIMS:
            return self._trimmed(node, series)
        left, right = (scalar, series.values) if swapped else (series.values, scalar)
        if node.op in OPERATORS:
            return series.mapped(OPERATORS[node.op](left, right))
        kept = np.broadcast_to(COMPARISONS[node.op](left, right), series.values.shape)
        return series.mapped(kept.astype(float)) if node.return_bool else series.where(kept).pruned()

    # --- aggregations -----------------------------------------------------------------------

    def _aggregation(self, expr: Aggregation) -> Series:
        param, operand = without_parens(expr.param) if expr.param is not None else None, without_parens(expr.expr)
        if expr.op == "count_values":
            return self._count_values(expr, param, operand)
        parameter = np.zeros(len(self._grid)) if param is None else self._scalar(param)
        series = self._series(operand)
        groups = aggregations.Groups.of(series.labels, expr.grouping, expr.without)
        if expr.op in ("topk", "bottomk"):
            return ranking.top(expr.op, series, groups, parameter)
        if expr.op == "quantile" and param is not None:
            self._note_quantiles(parameter, param)
        return aggregations.aggregate(expr.op, series, groups, parameter)

    def _note_quantiles(self, quantile: Samples, param: Expr) -> None:
        """The worst on each side, as there."""
        notes = self._context.notes
        if np.isnan(quantile).any():
            notes.invalid_quantile(float("nan"), param.span)
        numbers = quantile[~np.isnan(quantile)]
        if numbers.max(initial=0) > 1:
            notes.invalid_quantile(float(numbers.max()), param.span)
        if numbers.min(initial=0) < 0:
            notes.invalid_quantile(float(numbers.min()), param.span)

    def _count_values(self, expr: Aggregation, param: Expr | None, operand: Expr) -> Series:
        label = param.value if isinstance(param, StringLiteral) else ""
        if not is_label_name(label):
            raise ExecutionError(f"invalid label name {quote(label)}")
        return aggregations.count_values(self._series(operand), label, expr.grouping, expr.without)

    # --- functions --------------------------------------------------------------------------

    def _call(self, expr: Call) -> Result:
        args = [without_parens(arg) for arg in expr.args]
        if expr.name in RANGE_FUNCTIONS:
            return self._range_call(expr, args)
        if expr.name == "timestamp" and isinstance(args[0], VectorSelector):
            series = self._selector(args[0], timestamps=True)
            return series.mapped(series.values)
        values = [self.evaluate(arg) for arg in args]
        return call(Given(expr, args, values, self._grid, self._context.notes))

    def _range_call(self, expr: Call, args: list[Expr]) -> Series:
        function = RANGE_FUNCTIONS[expr.name]
        source = next(arg for arg in args if isinstance(arg, MatrixSelector | Subquery))
        scalars = [self._scalar(arg) for arg in args if arg is not source]
        ends_ms, blocks = self._blocks(source, function.wanted)
        parts = []
        for block in blocks:
            self._context.cancellation.check()
            windows = Windows.over(
                block.t_ms, ends_ms, self._grid.times_ms, source.range_ms, block.widths_ms, function.least
            )
            part = self._over_block(function, block, windows, scalars)
            self._note_range_call(expr, args, part, windows, scalars)
            parts.append(part)
        if expr.name == "absent_over_time":
            there = np.zeros(len(self._grid), dtype=bool)
            for part in parts:
                there |= part.mask().any(axis=0)
            return absence(source, there)
        return concatenated([part.pruned() for part in parts], len(self._grid))

    def _over_block(self, function: RangeFunction, block: Block, windows: Windows, scalars: list[Samples]) -> Series:
        lengths = windows.lengths
        self._tally.looked_at(lengths * len(block.values))
        held = self._tally.held
        self._tally.hold(int(lengths.max(initial=0)))  # there, one series' window at a time is in memory
        self._tally.release_to(held)
        self._tally.require(len(block.values) * len(lengths))
        values = function.over(block, windows, scalars, self._context.cancellation.check)
        enough = lengths >= function.least
        present = None if enough.all() else np.broadcast_to(enough, values.shape)
        dropped = block.drop_name if function.keeps_name else np.ones(len(block.labels), dtype=bool)
        return Series(block.labels, values, present, dropped)

    def _note_range_call(
        self, expr: Call, args: list[Expr], part: Series, windows: Windows, scalars: list[Samples]
    ) -> None:
        notes = self._context.notes
        if expr.name == "quantile_over_time":
            asked = scalars[0][windows.lengths > 0]
            for value in np.unique(asked[(asked < 0) | (asked > 1) | np.isnan(asked)]).tolist():
                notes.invalid_quantile(value, args[0].span)
        if expr.name in ("rate", "increase") and (part.present is None or part.present.any()):
            # what a subquery gives has no place in the query, there either
            span = args[0].span if isinstance(args[0], MatrixSelector) else NOWHERE
            for name in {metric_name(labels) for labels in part.labels}:
                if name and not name.endswith(_COUNTER_SUFFIXES):
                    notes.possible_non_counter(name, span)

    # --- ranges -----------------------------------------------------------------------------

    def _blocks(self, source: MatrixSelector | Subquery, wanted: Wanted) -> tuple[Times, Iterator[Block]]:
        """Where the windows end (k,), and the samples that they are cut from."""
        context = self._context
        if isinstance(source, Subquery):
            ends_ms = context.reference_times(self._grid.times_ms, source.at, source.offset_ms)
            series, times_ms = self.subquery(source, ends_ms)
            return ends_ms, blocks_of_series(series, times_ms)
        selector = source.selector
        ends_ms = context.reference_times(self._grid.times_ms, selector.at, selector.offset_ms)
        start_ms = int(ends_ms[0]) - source.range_ms + 1
        return ends_ms, blocks_of(context.select(selector.matchers, start_ms, int(ends_ms[-1]), wanted))

    def subquery(self, source: Subquery, ends_ms: Times) -> tuple[Series, Times]:
        """The inner expression at every multiple of the step within the windows, and those times."""
        step_ms = source.step_ms or self._context.default_step_ms
        earliest = int(ends_ms[0]) - source.range_ms
        self._tally.require((int(ends_ms[-1]) - earliest) // step_ms)
        grid = Grid.of((earliest // step_ms + 1) * step_ms, int(ends_ms[-1]), step_ms)
        if not len(grid):
            return Series([], np.empty((0, 0)), None, np.empty(0, dtype=bool)), grid.times_ms
        child = self._tally.child(len(grid))
        result = Evaluation(self._context, grid, child).evaluate(source.expr)
        self._tally.absorb(child)
        self._tally.hold(child.held - self._tally.held)
        if not isinstance(result, Series):
            raise ExecutionError(f"{source.expr} is no instant vector")
        return result, grid.times_ms


def _scalars(node: Binary, left: Samples, right: Samples) -> Samples:
    if node.op in TRIMS:
        raise ExecutionError(f"operator {quote(node.op)} not allowed for Scalar operations")
    if node.op in OPERATORS:
        return OPERATORS[node.op](left, right)
    return COMPARISONS[node.op](left, right).astype(float)


def _points_per_step(series: Series) -> Times | int:
    if series.present is None:
        return len(series)
    counts: Times = np.count_nonzero(series.present, axis=0)
    return counts
