"""One pass over the tree: does every expression have the type its place needs?

Source: prometheus/promql/parser/parse.go, checkAST; the order of the checks decides which is told first.
"""

from __future__ import annotations

from exporter.model import METRIC_NAME
from exporter.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Card,
    Expr,
    MatrixSelector,
    NumberLiteral,
    Paren,
    Span,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from exporter.promql.errors import ParseError
from exporter.promql.gotext import quote
from exporter.promql.signatures import ValueType

_SCALAR_PARAMETER = frozenset(("topk", "bottomk", "quantile", "limitk", "limit_ratio"))
_OPERANDS = (ValueType.SCALAR, ValueType.VECTOR)


def check_types(expr: Expr, query: str) -> None:
    """Raises the ParseError that Prometheus names first."""
    _Check(query).expr(expr)


class _Check:
    def __init__(self, query: str) -> None:
        self._query = query

    def _error(self, message: str, span: Span) -> ParseError:
        return ParseError(message, span.start, self._query)

    def expr(self, expr: Expr) -> ValueType:
        match expr:
            case Aggregation():
                self._aggregation(expr)
            case Binary():
                self._chain(expr)
            case Call():
                self._call(expr)
            case Paren():
                self.expr(expr.expr)
            case Unary():
                self._unary(expr)
            case Subquery():
                self._subquery(expr)
            case MatrixSelector():
                self._selector(expr.selector)
            case VectorSelector():
                self._selector(expr)
            case NumberLiteral() | StringLiteral():
                pass
        return expr.type

    def _expect(self, expr: Expr, wanted: ValueType, context: str) -> None:
        found = self.expr(expr)
        if found is not wanted:
            message = f"expected type {wanted.documented} in {context}, got {found.documented}"
            raise self._error(message, expr.span)

    def _aggregation(self, node: Aggregation) -> None:
        self._expect(node.expr, ValueType.VECTOR, "aggregation expression")
        if node.param is not None:
            wanted = ValueType.SCALAR if node.op in _SCALAR_PARAMETER else ValueType.STRING
            self._expect(node.param, wanted, "aggregation parameter")

    def _unary(self, node: Unary) -> None:
        found = self.expr(node.expr)
        if found not in _OPERANDS:
            message = "unary expression only allowed on expressions of type scalar or instant vector, got "
            raise self._error(message + quote(found.documented), node.span)

    def _subquery(self, node: Subquery) -> None:
        found = self.expr(node.expr)
        if found is not ValueType.VECTOR:
            raise self._error(f"subquery is only allowed on instant vector, got {found.value} instead", node.span)

    def _chain(self, node: Binary) -> None:
        first, chain = node.spine()
        self.expr(first)
        for binary in chain:
            self.expr(binary.right)
            self._operator(binary)
            self._operands(binary)

    def _operator_span(self, node: Binary) -> Span:
        at = node.left.span.end
        while self._query[at : at + 1].isspace():
            at += 1
        return Span(at, at)

    def _operator(self, node: Binary) -> None:
        left, right = node.left.type, node.right.type
        if node.return_bool and node.op not in COMPARISONS:
            message = "bool modifier can only be used on comparison operators"
            raise self._error(message, self._operator_span(node))
        scalars = left is ValueType.SCALAR and right is ValueType.SCALAR
        if node.op in COMPARISONS and not node.return_bool and scalars:
            raise self._error("comparisons between scalars must use BOOL modifier", self._operator_span(node))
        matching = node.matching
        for label in matching.labels if matching is not None and matching.on else ():
            if matching is not None and label in matching.include:
                message = f"label {quote(label)} must not occur in ON and GROUP clause at once"
                raise self._error(message, self._operator_span(node))

    def _operands(self, node: Binary) -> None:
        for side in (node.left, node.right):
            if side.type not in _OPERANDS:
                raise self._error("binary expression must contain only scalar and instant vector types", side.span)
        vectors = node.left.type is ValueType.VECTOR and node.right.type is ValueType.VECTOR
        matching = node.matching
        if not vectors and matching is not None and matching.labels:
            raise self._error("vector matching only allowed between instant vectors", node.span)
        if node.op not in SET_OPERATORS:
            return
        if vectors and matching is not None and matching.card in (Card.MANY_TO_ONE, Card.ONE_TO_MANY):
            raise self._error(f"no grouping allowed for {quote(node.op)} operation", node.span)
        if ValueType.SCALAR in (node.left.type, node.right.type):
            raise self._error(f"set operator {quote(node.op)} not allowed in binary scalar expression", node.span)

    def _call(self, node: Call) -> None:
        self._argument_count(node)
        last = len(node.function.args) - 1
        for i, arg in enumerate(node.args):
            wanted = node.function.args[min(i, last)]
            found = self.expr(arg)
            if found is not wanted:
                context = f"call to function {quote(node.name)}"
                message = f"expected type {wanted.documented} in {context}, got {found.documented}"
                raise self._error(message, arg.span)

    def _argument_count(self, node: Call) -> None:
        given, declared = len(node.args), len(node.function.args)
        variadic = node.function.variadic
        least = declared - 1 if variadic else declared
        most = declared if not variadic else (given if variadic < 0 else least + variadic)
        if least <= given <= most:
            return
        if not variadic:
            expected = f"{declared}"
        elif given < least:
            expected = f"at least {least}"
        else:
            expected = f"at most {most}"
        message = f"expected {expected} argument(s) in call to {quote(node.name)}, got {given}"
        raise self._error(message, node.span)

    def _selector(self, node: VectorSelector) -> None:
        if node.name:
            for matcher in node.matchers[:-1]:
                if matcher.name == METRIC_NAME:
                    names = f"{quote(node.name)} or {quote(matcher.value)}"
                    raise self._error(f"metric name must not be set twice: {names}", node.span)
        elif all(matcher.matches("") for matcher in node.matchers):
            raise self._error("vector selector must contain at least one non-empty matcher", node.span)
