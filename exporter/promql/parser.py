"""Text to tree: a Pratt parser with six binary levels, then one pass that checks types.

Source: prometheus/promql/parser/generated_parser.y and parse.go; the messages are Prometheus' own.
Nesting and length are bounded, so that no text can exhaust the stack or a worker.
"""

from __future__ import annotations

from functools import lru_cache

from exporter.model import Matcher
from exporter.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Expr,
    NumberLiteral,
    Paren,
    Span,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from exporter.promql.clauses import by_or_without, fill, matching
from exporter.promql.errors import ParseError
from exporter.promql.gotext import quote
from exporter.promql.lengths import EXPECTED, Lengths
from exporter.promql.literals import number, string
from exporter.promql.modifiers import Duration, add_at, add_offset, at_edge, duration_of, ranged
from exporter.promql.selector_parser import names_metric, selector
from exporter.promql.signatures import FUNCTIONS, ValueType
from exporter.promql.stream import TOO_DEEP, Stream
from exporter.promql.tokens import Kind, Token
from exporter.promql.typecheck import check_types

MAX_LENGTH = 128 * 1024  # a second or two, whatever is in it

_REMEMBERED_LENGTH = 4 * 1024

_LEVELS = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "</", ">/"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_UNARY_LEVEL = 5
_WITH_PARAMETER = frozenset(("topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"))
_EXPERIMENTAL_AGGREGATORS = frozenset(("limitk", "limit_ratio"))


def parse(text: str, *, duration_expressions: bool = False) -> Expr:
    """The expression that `text` writes, its types checked. Raises ParseError.

    duration_expressions: whether the experimental arithmetic on lengths of time is allowed.
    """
    known = _remembered if len(text) <= _REMEMBERED_LENGTH else _parsed  # the tree of a long one takes megabytes
    return known(text, duration_expressions)


def _parsed(text: str, duration_expressions: bool) -> Expr:
    _check_length(text)
    try:
        expr = _Parser(text, duration_expressions).whole_expression()
        check_types(expr, text)
    except RecursionError:  # a caller already deep in its own stack
        raise ParseError(TOO_DEEP, 0, text) from None
    return expr


_remembered = lru_cache(maxsize=256)(_parsed)


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a bare selector such as `up{job="api"}`, as `match[]` takes it. Raises ParseError."""
    _check_length(text)
    return _Parser(text, False).whole_selector().matchers


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ParseError(f"expression is too long: {len(text)} characters, at most {MAX_LENGTH} are allowed", 0, text)


class _Parser:
    def __init__(self, query: str, duration_expressions: bool) -> None:
        self._stream = Stream(query)
        self._lengths = Lengths(self._stream, duration_expressions)

    def whole_expression(self) -> Expr:
        stream = self._stream
        if stream.at(Kind.EOF):
            raise stream.error("no expression found in input", 0)
        expr = self._expression(1)
        stream.expect(Kind.EOF)
        return expr

    def whole_selector(self) -> VectorSelector:
        stream = self._stream
        if stream.at(Kind.LEFT_BRACE):
            found = selector(stream, None)
        elif names_metric(stream.peek()):
            found = selector(stream, stream.take())
        else:
            raise stream.unexpected()
        stream.expect(Kind.EOF)
        return found

    def _expression(self, level: int) -> Expr:
        """Everything that binds at least as tightly as `level`."""
        stream = self._stream
        stream.deeper(stream.peek().start)
        expr = self._unary() if stream.at(Kind.OPERATOR, "+", "-") else self._primary()
        while True:
            expr = self._postfix(expr)
            token = stream.peek()
            bound = _LEVELS.get(token.word, 0) if token.kind is Kind.OPERATOR else 0
            if bound < level:
                break
            expr = self._binary(expr, stream.take().word, bound)
        stream.out()
        return expr

    def _unary(self) -> Expr:
        op = self._stream.take()
        expr = self._expression(_UNARY_LEVEL + 1)
        span = Span(op.start, expr.span.end)
        if isinstance(expr, NumberLiteral):
            value = -expr.value if op.text == "-" else expr.value
            return NumberLiteral(value, expr.is_duration, span)
        return Unary(op.text, expr, span)

    def _binary(self, left: Expr, op: str, level: int) -> Expr:
        stream = self._stream
        return_bool = stream.at(Kind.KEYWORD, "bool") and bool(stream.take())
        rule = matching(stream)
        has_fill = fill(stream)
        right = self._expression(level if op == "^" else level + 1)
        if has_fill:
            raise stream.error("binop fill modifiers are experimental and not enabled", left.span.start)
        scalars = left.type is ValueType.SCALAR and right.type is ValueType.SCALAR
        result = ValueType.SCALAR if scalars else ValueType.VECTOR
        return Binary(op, left, right, rule, return_bool, result, Span(left.span.start, right.span.end))

    def _primary(self) -> Expr:
        stream = self._stream
        token = stream.peek()
        if token.kind in (Kind.NUMBER, Kind.DURATION):
            return number(stream)
        if token.kind is Kind.STRING:
            return StringLiteral(string(stream), Span(token.start, token.end))
        if token.kind is Kind.LEFT_PAREN:
            return self._paren()
        if token.kind is Kind.LEFT_BRACE:
            return selector(stream, None)
        if not names_metric(token):
            raise stream.unexpected()
        stream.take()
        if token.kind is Kind.AGGREGATOR and (stream.at(Kind.LEFT_PAREN) or stream.at(Kind.KEYWORD, "by", "without")):
            return self._aggregation(token)
        if token.kind in (Kind.IDENTIFIER, Kind.PREPROCESSOR) and stream.at(Kind.LEFT_PAREN):
            return self._call(token)
        return selector(stream, token)

    def _paren(self) -> Expr:
        start = self._stream.take().start
        expr = self._expression(1)
        self._stream.expect(Kind.RIGHT_PAREN)
        return Paren(expr, Span(start, self._stream.end))

    def _arguments(self) -> tuple[Expr, ...]:
        """`(a, b)`"""
        stream = self._stream
        stream.expect(Kind.LEFT_PAREN)
        args: list[Expr] = []
        while not stream.at(Kind.RIGHT_PAREN):
            args.append(self._expression(1))
            if stream.at(Kind.RIGHT_PAREN):
                break
            comma = stream.expect(Kind.COMMA)
            if stream.at(Kind.RIGHT_PAREN) or stream.at(Kind.COMMA):
                raise stream.error("trailing commas not allowed in function call args", comma.start)
        stream.take()
        return tuple(args)

    def _call(self, name: Token) -> Expr:
        stream = self._stream
        args = self._arguments()
        function = FUNCTIONS.get(name.text)
        if function is None:
            raise stream.error(f"unknown function with name {quote(name.text)}", name.start)
        if function.experimental:
            raise stream.error(f"function {quote(name.text)} is not enabled", name.start)
        return Call(function, args, Span(name.start, stream.end))

    def _aggregation(self, op: Token) -> Expr:
        stream = self._stream
        with stream.within("aggregation"):
            clause = by_or_without(stream)
            args = self._arguments()
        if clause is None:
            clause = by_or_without(stream)
        without, names = clause or (False, ())
        span = Span(op.start, stream.end)
        param, expr = self._operands(op.word, args, span)
        return Aggregation(op.word, expr, param, names, without, span)

    def _operands(self, op: str, args: tuple[Expr, ...], span: Span) -> tuple[Expr | None, Expr]:
        """The parameter, if the operator takes one, and what is aggregated."""
        stream = self._stream
        if not args:
            raise stream.error("no arguments for aggregate expression provided", span.start)
        if op in _EXPERIMENTAL_AGGREGATORS:
            advice = "is experimental and must be enabled with --enable-feature=promql-experimental-functions"
            raise stream.error(f"{op}() {advice}", span.start)
        wanted = 2 if op in _WITH_PARAMETER else 1
        if len(args) != wanted:
            message = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}"
            raise stream.error(message, span.start)
        return (args[0] if wanted == 2 else None), args[-1]

    def _postfix(self, expr: Expr) -> Expr:
        """The expression with the ranges and modifiers that follow it."""
        while True:
            token = self._stream.peek()
            if token.kind is Kind.LEFT_BRACKET:
                expr = self._bracket(expr)
            elif token.kind is Kind.KEYWORD and token.word == "offset":
                self._stream.take()
                expr = add_offset(expr, duration_of(self._lengths.offset()), self._stream.end, self._stream.query)
            elif token.kind is Kind.OPERATOR and token.text == "@":
                expr = self._at_modifier(expr)
            elif token.kind is Kind.KEYWORD and token.word in ("anchored", "smoothed"):
                raise self._stream.error(f"{token.word} modifier is experimental and not enabled", expr.span.start)
            else:
                return expr

    def _bracket(self, expr: Expr) -> Expr:
        stream = self._stream
        stream.deeper(expr.span.start)  # what is in brackets wraps what came before
        bracket = stream.take()
        length = duration_of(self._lengths.positive("subquery or range selector"))
        if stream.at(Kind.COLON):
            stream.take()
            step = self._step()
            return Subquery(expr, *length, *step, span=Span(expr.span.start, stream.end))
        if not stream.at(Kind.RIGHT_BRACKET):
            raise stream.unexpected("subquery or range", '":" or "]"')
        stream.take()
        return ranged(expr, length, bracket.start, stream.end, stream.query)

    def _step(self) -> Duration:
        """A subquery's step, if it names one, and the closing bracket."""
        stream = self._stream
        step: Duration = (0, None)
        if not stream.at(Kind.RIGHT_BRACKET):
            if not self._lengths.is_next():
                raise stream.unexpected("subquery selector", f'{EXPECTED}, or "]"')
            step = duration_of(self._lengths.positive("subquery selector"))
        if not stream.at(Kind.RIGHT_BRACKET):
            raise stream.unexpected("subquery selector", '"]"')
        stream.take()
        return step

    def _at_modifier(self, expr: Expr) -> Expr:
        stream = self._stream
        stream.take()
        if stream.at(Kind.PREPROCESSOR, "start", "end"):
            edge = at_edge(stream.take().word)
            with stream.within("@, expected timestamp"):
                stream.expect(Kind.LEFT_PAREN)
                stream.expect(Kind.RIGHT_PAREN)
            return add_at(expr, edge, stream.end, stream.query)
        sign = stream.take().text if stream.at(Kind.OPERATOR, "+", "-") else "+"
        if not (stream.at(Kind.NUMBER) or stream.at(Kind.DURATION)):
            raise stream.unexpected("@", "timestamp")
        value = number(stream).value
        return add_at(expr, -value if sign == "-" else value, stream.end, stream.query)
