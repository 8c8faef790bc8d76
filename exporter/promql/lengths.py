"""Lengths of time in brackets and after `offset`: a number, a duration, or arithmetic on them.

The arithmetic, with `step()`, `range()`, `min_of` and `max_of`, is an experimental feature; where it
is not enabled it is recognised all the same, to say so as Prometheus does.
Source: prometheus/promql/parser/generated_parser.y, duration_expr and offset_duration_expr.
"""

from __future__ import annotations

import math

from exporter.promql.ast import DurationExpr, Length, NumberLiteral, Span
from exporter.promql.literals import number
from exporter.promql.stream import Stream
from exporter.promql.tokens import Kind

EXPECTED = "number, duration, step(), or range()"
_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}
_UNARY_LEVEL = 2
_LONGEST_S = (1 << 63) / 1e9


class Lengths:
    """Reads lengths from a stream. experimental: whether arithmetic is allowed."""

    def __init__(self, stream: Stream, experimental: bool) -> None:
        self._stream = stream
        self._experimental = experimental

    def is_next(self) -> bool:
        """Whether a length can begin here."""
        token = self._stream.peek()
        numeric = token.kind in (Kind.NUMBER, Kind.DURATION, Kind.LEFT_PAREN, Kind.PREPROCESSOR)
        return numeric or (token.kind is Kind.OPERATOR and token.text in "+-")

    def positive(self, context: str) -> Length:
        """A length that must be greater than 0, as far as it is known yet."""
        if not self.is_next():
            raise self._stream.unexpected(context, EXPECTED)
        length = self._expression(1, context)
        if isinstance(length, NumberLiteral) and length.value <= 0:
            raise self._stream.error("duration must be greater than 0", length.span.start)
        return length

    def offset(self) -> Length:
        """What follows `offset`: a single operand, perhaps signed, since an operator belongs to the query."""
        if not self.is_next():
            raise self._stream.unexpected("offset", EXPECTED)
        return self._signed("offset", _UNARY_LEVEL + 2)

    def _expression(self, level: int, context: str) -> Length:
        stream = self._stream
        left = self._signed(context, _UNARY_LEVEL + 1)
        while stream.at(Kind.OPERATOR, *_LEVELS) and _LEVELS[stream.peek().text] >= level:
            op = stream.take()
            bound = _LEVELS[op.text]
            right = self._expression(bound if op.text == "^" else bound + 1, context)
            self._check_enabled(left.span)
            if op.text in "/%" and isinstance(right, NumberLiteral) and right.value == 0:
                name = "division" if op.text == "/" else "modulo"
                raise stream.error(f"{name} by zero", op.start)
            left = DurationExpr(op.text, left, right, span=Span(left.span.start, right.span.end))
        return left

    def _signed(self, context: str, level: int) -> Length:
        stream = self._stream
        if not stream.at(Kind.OPERATOR, "+", "-"):
            return self._operand(context)
        sign = stream.take()
        stream.deeper(sign.start)
        operand = self._expression(level, context)
        stream.out()
        span = Span(sign.start, operand.span.end)
        if isinstance(operand, NumberLiteral):
            return NumberLiteral(-operand.value if sign.text == "-" else operand.value, operand.is_duration, span)
        return DurationExpr("-", None, operand, span=span) if sign.text == "-" else operand

    def _operand(self, context: str) -> Length:
        token = self._stream.peek()
        if token.kind is Kind.LEFT_PAREN:
            return self._paren(context)
        if token.kind is Kind.PREPROCESSOR:
            return self._call(context)
        if token.kind not in (Kind.NUMBER, Kind.DURATION):
            raise self._stream.unexpected(context, EXPECTED)
        literal = number(self._stream)
        if not math.isnan(literal.value) and abs(literal.value) > _LONGEST_S:
            raise self._stream.error("duration out of range", literal.span.start)
        return literal

    def _paren(self, context: str) -> Length:
        stream = self._stream
        opening = stream.take()
        stream.deeper(opening.start)
        inner = self._expression(1, context)
        stream.expect(Kind.RIGHT_PAREN)
        stream.out()
        self._check_enabled(inner.span)
        if isinstance(inner, DurationExpr):
            return DurationExpr(inner.op, inner.left, inner.right, True, inner.span)
        return DurationExpr("+", None, inner, True, Span(opening.start, stream.end))

    def _call(self, context: str) -> Length:
        """`step()`, `range()`, `min_of(a, b)`, `max_of(a, b)`."""
        stream = self._stream
        name = stream.take()
        if not stream.at(Kind.LEFT_PAREN) or name.word in ("start", "end"):
            raise stream.unexpected(context, EXPECTED)
        stream.take()
        left = right = None
        if name.word in ("min_of", "max_of"):
            stream.deeper(name.start)
            left = self._expression(1, context)
            stream.expect(Kind.COMMA)
            right = self._expression(1, context)
            stream.out()
        stream.expect(Kind.RIGHT_PAREN)
        span = Span(name.start, stream.end)
        self._check_enabled(span)
        return DurationExpr(name.word, left, right, span=span)

    def _check_enabled(self, span: Span) -> None:
        if not self._experimental:
            raise self._stream.error("experimental duration expression is not enabled", span.start)
