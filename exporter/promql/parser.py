"""Text to tree: a Pratt parser with six binary levels, then one pass that checks types.

Source: prometheus/promql/parser/generated_parser.y and parse.go; the messages are Prometheus' own.
Nesting and length are bounded, so that no text can exhaust the stack or a worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from exporter.duration import parse_duration
from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.promql.ast import (
    Aggregation,
    Binary,
    Call,
    Card,
    Expr,
    Matching,
    NumberLiteral,
    Paren,
    Span,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from exporter.promql.errors import ParseError
from exporter.promql.gotext import parse_number, quote, unquote
from exporter.promql.lexer import Lexer
from exporter.promql.modifiers import add_at, add_offset, at_edge, duration_ms, ranged
from exporter.promql.regexes import check_regex
from exporter.promql.signatures import FUNCTIONS, ValueType
from exporter.promql.tokens import LABEL_WORDS, METRIC_WORDS, Kind, Token
from exporter.promql.typecheck import check_types

MAX_DEPTH = 200
MAX_LENGTH = 64 * 1024
_TOO_DEEP = f"expression is nested too deeply: more than {MAX_DEPTH} levels"

_LEVELS = {
    **dict.fromkeys(("or",), 1),
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "</", ">/"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    **dict.fromkeys(("^",), 6),
}
_UNARY_LEVEL = 5
_POSTFIX_LEVEL = 7
_WITH_PARAMETER = frozenset(("topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"))
_EXPERIMENTAL_AGGREGATORS = frozenset(("limitk", "limit_ratio"))
_MATCH_TYPES = {"=": MatchType.EQUAL, "!=": MatchType.NOT_EQUAL, "=~": MatchType.REGEX, "!~": MatchType.NOT_REGEX}
_WORD_KINDS = (Kind.AGGREGATOR, Kind.OPERATOR, Kind.KEYWORD, Kind.PREPROCESSOR)
_LENGTHS = "number, duration, step(), or range()"


@lru_cache(maxsize=256)
def parse(text: str) -> Expr:
    """The expression that `text` writes, its types checked. Raises ParseError."""
    _check_length(text)
    try:
        expr = _Parser(text).whole_expression()
        check_types(expr, text)
    except RecursionError:  # a caller already deep in its own stack
        raise ParseError(_TOO_DEEP, 0, text) from None
    return expr


@lru_cache(maxsize=256)
def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a bare selector such as `up{job="api"}`, as `match[]` takes it. Raises ParseError."""
    _check_length(text)
    return _Parser(text).whole_selector().matchers


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ParseError(f"expression is too long: {len(text)} characters, at most {MAX_LENGTH} are allowed", 0, text)


class _Parser:
    """One token of look-ahead, taken from the lexer only when it is needed."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._lexer = Lexer(query)
        self._ahead: Token | None = None
        self._end = 0  # just past the last token taken
        self._depth = 0

    # --- tokens -----------------------------------------------------------------------------

    def _peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._lexer.next()
        return self._ahead

    def _take(self) -> Token:
        token = self._peek()
        self._ahead = None
        self._end = token.end
        return token

    def _at(self, kind: Kind, *words: str) -> bool:
        token = self._peek()
        return token.kind is kind and (not words or token.word in words)

    def _expect(self, kind: Kind) -> Token:
        if not self._at(kind):
            raise self._unexpected()
        return self._take()

    def _error(self, message: str, start: int) -> ParseError:
        return ParseError(message, start, self._query)

    def _unexpected(self, context: str = "", expected: str = "") -> _Unexpected:
        token = self._peek()
        message = f"unexpected {token.describe()}"
        message += f" in {context}" if context else ""
        message += f", expected {expected}" if expected else ""
        return _Unexpected(message, token.start, self._query, bool(context))

    @contextmanager
    def _within(self, context: str) -> Iterator[None]:
        """A complaint from inside that names no context of its own gets this one."""
        try:
            yield
        except _Unexpected as err:
            if err.has_context:
                raise
            raise _Unexpected(f"{err.message} in {context}", err.start, self._query, True) from None

    def _deeper(self, start: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(_TOO_DEEP, start)

    # --- expressions ------------------------------------------------------------------------

    def whole_expression(self) -> Expr:
        if self._at(Kind.EOF):
            raise self._error("no expression found in input", 0)
        expr = self._expression(1)
        self._expect(Kind.EOF)
        return expr

    def whole_selector(self) -> VectorSelector:
        token = self._peek()
        if token.kind is Kind.LEFT_BRACE:
            selector = self._selector(None)
        elif self._names_metric(token):
            selector = self._selector(self._take())
        else:
            raise self._unexpected()
        self._expect(Kind.EOF)
        return selector

    def _expression(self, level: int) -> Expr:
        """Everything that binds at least as tightly as `level`."""
        self._deeper(self._peek().start)
        expr = self._unary() if self._at(Kind.OPERATOR, "+", "-") else self._primary()
        while True:
            expr = self._postfix(expr)
            token = self._peek()
            bound = _LEVELS.get(token.word, 0) if token.kind is Kind.OPERATOR else 0
            if bound < level:
                break
            expr = self._binary(expr, self._take().word, bound)
        self._depth -= 1
        return expr

    def _unary(self) -> Expr:
        op = self._take()
        expr = self._expression(_UNARY_LEVEL + 1)
        span = Span(op.start, expr.span.end)
        if isinstance(expr, NumberLiteral):
            value = -expr.value if op.text == "-" else expr.value
            return NumberLiteral(value, expr.is_duration, span)
        return Unary(op.text, expr, span)

    def _binary(self, left: Expr, op: str, level: int) -> Expr:
        return_bool = self._at(Kind.KEYWORD, "bool") and bool(self._take())
        matching = self._matching()
        has_fill = self._fill()
        right = self._expression(level if op == "^" else level + 1)
        if has_fill:
            raise self._error("binop fill modifiers are experimental and not enabled", left.span.start)
        scalars = left.type is ValueType.SCALAR and right.type is ValueType.SCALAR
        result = ValueType.SCALAR if scalars else ValueType.VECTOR
        return Binary(op, left, right, matching, return_bool, result, Span(left.span.start, right.span.end))

    def _matching(self) -> Matching:
        if not self._at(Kind.KEYWORD, "on", "ignoring"):
            return Matching()
        on = self._take().word == "on"
        labels = self._grouping()
        if not self._at(Kind.KEYWORD, "group_left", "group_right"):
            return Matching(Card.ONE_TO_ONE, labels, on)
        card = Card.MANY_TO_ONE if self._take().word == "group_left" else Card.ONE_TO_MANY
        include = self._grouping() if self._at(Kind.LEFT_PAREN) else ()
        return Matching(card, labels, on, include)

    def _fill(self) -> bool:
        found = False
        while self._at(Kind.KEYWORD, "fill", "fill_left", "fill_right"):
            found = True
            self._take()
            self._expect(Kind.LEFT_PAREN)
            if self._at(Kind.OPERATOR, "+", "-"):
                self._take()
            if not (self._at(Kind.NUMBER) or self._at(Kind.DURATION)):
                raise self._unexpected()
            self._take()
            self._expect(Kind.RIGHT_PAREN)
        return found

    def _grouping(self) -> tuple[str, ...]:
        """`(a, b)`"""
        if not self._at(Kind.LEFT_PAREN):
            raise self._unexpected("grouping opts", '"("')
        self._take()
        names: list[str] = []
        while not self._at(Kind.RIGHT_PAREN):
            names.append(self._grouping_label())
            if self._at(Kind.COMMA):
                self._take()
            elif not self._at(Kind.RIGHT_PAREN):
                raise self._unexpected("grouping opts", '"," or ")"')
        self._take()
        return tuple(names)

    def _grouping_label(self) -> str:
        token = self._peek()
        if token.kind is Kind.STRING:
            name = self._string(self._take())
        elif token.kind in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER) or (
            token.kind is not Kind.NUMBER and token.word in LABEL_WORDS
        ):
            name = self._take().text
        else:
            raise self._unexpected("grouping opts", "label")
        if not name or not _is_utf8(name):
            raise self._error(f"invalid label name for grouping: {quote(name)}", token.start)
        return name

    # --- primaries --------------------------------------------------------------------------

    def _primary(self) -> Expr:
        token = self._peek()
        if token.kind in (Kind.NUMBER, Kind.DURATION):
            return self._number(self._take())
        if token.kind is Kind.STRING:
            self._take()
            return StringLiteral(self._string(token), Span(token.start, token.end))
        if token.kind is Kind.LEFT_PAREN:
            return self._paren()
        if token.kind is Kind.LEFT_BRACE:
            return self._selector(None)
        if token.kind in (Kind.AGGREGATOR, Kind.IDENTIFIER, Kind.PREPROCESSOR) or self._names_metric(token):
            self._take()
            if token.kind is Kind.AGGREGATOR and self._aggregation_follows():
                return self._aggregation(token)
            if token.kind in (Kind.IDENTIFIER, Kind.PREPROCESSOR) and self._at(Kind.LEFT_PAREN):
                return self._call(token)
            if self._names_metric(token):
                return self._selector(token)
        raise self._unexpected()

    def _names_metric(self, token: Token) -> bool:
        if token.kind in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER):
            return True
        return token.kind in _WORD_KINDS and token.word in METRIC_WORDS

    def _aggregation_follows(self) -> bool:
        return self._at(Kind.LEFT_PAREN) or self._at(Kind.KEYWORD, "by", "without")

    def _number(self, token: Token) -> NumberLiteral:
        span = Span(token.start, token.end)
        if token.kind is Kind.DURATION:
            return NumberLiteral(self._duration(token) / 1000, True, span)
        try:
            return NumberLiteral(parse_number(token.text), False, span)
        except ValueError as err:
            raise self._error(f"error parsing number: {err}", token.start) from None

    def _duration(self, token: Token) -> int:
        try:
            return parse_duration(token.text)
        except ValueError as err:
            raise self._error(_unknown_unit(token.text) or str(err), token.start) from None

    def _string(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as err:
            raise self._error(f"error unquoting string {quote(token.text)}: {err}", token.start) from None

    def _paren(self) -> Expr:
        start = self._take().start
        expr = self._expression(1)
        self._expect(Kind.RIGHT_PAREN)
        return Paren(expr, Span(start, self._end))

    def _arguments(self) -> tuple[Expr, ...]:
        """`(a, b)`"""
        self._expect(Kind.LEFT_PAREN)
        args: list[Expr] = []
        while not self._at(Kind.RIGHT_PAREN):
            args.append(self._expression(1))
            if self._at(Kind.RIGHT_PAREN):
                break
            comma = self._expect(Kind.COMMA)
            if self._at(Kind.RIGHT_PAREN) or self._at(Kind.COMMA):
                raise self._error("trailing commas not allowed in function call args", comma.start)
        self._take()
        return tuple(args)

    def _call(self, name: Token) -> Expr:
        args = self._arguments()
        function = FUNCTIONS.get(name.text)
        if function is None:
            raise self._error(f"unknown function with name {quote(name.text)}", name.start)
        if function.experimental:
            raise self._error(f"function {quote(name.text)} is not enabled", name.start)
        return Call(function, args, Span(name.start, self._end))

    def _aggregation(self, op: Token) -> Expr:
        with self._within("aggregation"):
            clause = self._clause()
            args = self._arguments()
        if clause is None:
            clause = self._clause()
        without, grouping = clause or (False, ())
        span = Span(op.start, self._end)
        param, expr = self._operands(op.word, args, span)
        return Aggregation(op.word, expr, param, grouping, without, span)

    def _clause(self) -> tuple[bool, tuple[str, ...]] | None:
        """`by (…)` or `without (…)`: whether it is without, and the names."""
        if not self._at(Kind.KEYWORD, "by", "without"):
            return None
        return self._take().word == "without", self._grouping()

    def _operands(self, op: str, args: tuple[Expr, ...], span: Span) -> tuple[Expr | None, Expr]:
        if not args:
            raise self._error("no arguments for aggregate expression provided", span.start)
        if op in _EXPERIMENTAL_AGGREGATORS:
            advice = "is experimental and must be enabled with --enable-feature=promql-experimental-functions"
            raise self._error(f"{op}() {advice}", span.start)
        wanted = 2 if op in _WITH_PARAMETER else 1
        if len(args) != wanted:
            message = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}"
            raise self._error(message, span.start)
        return (args[0] if wanted == 2 else None), args[-1]

    # --- selectors --------------------------------------------------------------------------

    def _selector(self, name: Token | None) -> VectorSelector:
        start = name.start if name is not None else self._peek().start
        matchers = self._matchers() if self._at(Kind.LEFT_BRACE) else []
        if name is not None:
            matchers.append(Matcher(MatchType.EQUAL, METRIC_NAME, name.text))
        return VectorSelector(name.text if name else "", tuple(matchers), span=Span(start, self._end))

    def _matchers(self) -> list[Matcher]:
        self._take()
        matchers: list[Matcher] = []
        while not self._at(Kind.RIGHT_BRACE):
            matchers.append(self._matcher())
            if self._at(Kind.COMMA):
                self._take()
            elif not self._at(Kind.RIGHT_BRACE):
                raise self._unexpected("label matching", '"," or "}"')
        self._take()
        return matchers

    def _matcher(self) -> Matcher:
        name = self._peek()
        if name.kind not in (Kind.IDENTIFIER, Kind.STRING):
            raise self._unexpected("label matching", 'identifier or "}"')
        self._take()
        label = self._string(name) if name.kind is Kind.STRING else name.text
        op = self._peek()
        if op.kind is Kind.EQL or op.text in _MATCH_TYPES:
            return self._match_value(name, label, self._take())
        if name.kind is Kind.STRING:
            if op.kind in (Kind.COMMA, Kind.RIGHT_BRACE):
                return Matcher(MatchType.EQUAL, METRIC_NAME, label)
            raise self._unexpected("label matching", '"," or "}"')
        raise self._unexpected("label matching", "label matching operator")

    def _match_value(self, name: Token, label: str, op: Token) -> Matcher:
        if not self._at(Kind.STRING):
            raise self._unexpected("label matching", "string")
        value = self._string(self._take())
        match_type = _MATCH_TYPES[op.text]
        if match_type in (MatchType.REGEX, MatchType.NOT_REGEX):
            check_regex(value, name.start, self._query)
        return Matcher(match_type, label, value)

    # --- what may follow an expression ------------------------------------------------------

    def _postfix(self, expr: Expr) -> Expr:
        while True:
            token = self._peek()
            if token.kind is Kind.LEFT_BRACKET:
                expr = self._bracket(expr)
            elif token.kind is Kind.KEYWORD and token.word == "offset":
                expr = self._offset(expr)
            elif token.kind is Kind.OPERATOR and token.text == "@":
                expr = self._at_modifier(expr)
            elif token.kind is Kind.KEYWORD and token.word in ("anchored", "smoothed"):
                raise self._error(f"{token.word} modifier is experimental and not enabled", expr.span.start)
            else:
                return expr

    def _bracket(self, expr: Expr) -> Expr:
        self._deeper(expr.span.start)
        bracket = self._take()
        length = self._length("subquery or range selector")
        if self._at(Kind.COLON):
            self._take()
            return self._subquery(expr, duration_ms(length))
        if not self._at(Kind.RIGHT_BRACKET):
            raise self._unexpected("subquery or range", '":" or "]"')
        self._take()
        return ranged(expr, duration_ms(length), bracket.start, self._end, self._query)

    def _subquery(self, expr: Expr, range_ms: int) -> Expr:
        step_ms = 0
        if not self._at(Kind.RIGHT_BRACKET):
            if not self._starts_length():
                raise self._unexpected("subquery selector", f'{_LENGTHS}, or "]"')
            step_ms = duration_ms(self._length("subquery selector"))
        if not self._at(Kind.RIGHT_BRACKET):
            raise self._unexpected("subquery selector", '"]"')
        self._take()
        return Subquery(expr, range_ms, step_ms, span=Span(expr.span.start, self._end))

    def _starts_length(self) -> bool:
        token = self._peek()
        numeric = token.kind in (Kind.NUMBER, Kind.DURATION, Kind.LEFT_PAREN, Kind.PREPROCESSOR)
        return numeric or (token.kind is Kind.OPERATOR and token.text in "+-")

    def _length(self, context: str) -> NumberLiteral:
        """A positive length of time; arithmetic on lengths is an experimental feature."""
        if not self._starts_length():
            raise self._unexpected(context, _LENGTHS)
        length = self._signed_length(context)
        if self._at(Kind.OPERATOR, "+", "-", "*", "/", "%", "^"):
            self._take()
            self._signed_length(context)
            raise self._error("experimental duration expression is not enabled", length.span.start)
        if length.value <= 0:
            raise self._error("duration must be greater than 0", length.span.start)
        return length

    def _signed_length(self, context: str) -> NumberLiteral:
        sign = self._take() if self._at(Kind.OPERATOR, "+", "-") else None
        token = self._peek()
        if token.kind in (Kind.LEFT_PAREN, Kind.PREPROCESSOR):
            raise self._length_expression(context)
        if token.kind not in (Kind.NUMBER, Kind.DURATION):
            raise self._unexpected(context, _LENGTHS)
        literal = self._number(self._take())
        if not abs(literal.value) <= (1 << 63) / 1e9 and not math.isnan(literal.value):
            raise self._error("duration out of range", literal.span.start)
        if sign is None:
            return literal
        value = -literal.value if sign.text == "-" else literal.value
        return NumberLiteral(value, literal.is_duration, Span(sign.start, literal.span.end))

    def _length_expression(self, context: str) -> ParseError:
        """The complaint about `(5m)`, `step()` and the like."""
        token = self._take()
        if token.kind is Kind.LEFT_PAREN:
            start = self._peek().start
            self._deeper(start)
            self._signed_length(context)
            return self._error("experimental duration expression is not enabled", start)
        if not self._at(Kind.LEFT_PAREN):
            return self._unexpected(context, _LENGTHS)
        return self._error("experimental duration expression is not enabled", token.start)

    def _offset(self, expr: Expr) -> Expr:
        self._take()
        if not self._starts_length():
            raise self._unexpected("offset", _LENGTHS)
        length = self._signed_length("offset")
        return add_offset(expr, duration_ms(length), self._end, self._query)

    def _at_modifier(self, expr: Expr) -> Expr:
        self._take()
        if self._at(Kind.PREPROCESSOR, "start", "end"):
            edge = at_edge(self._take().word)
            self._close_edge()
            return add_at(expr, edge, self._end, self._query)
        sign = self._take().text if self._at(Kind.OPERATOR, "+", "-") else "+"
        if not (self._at(Kind.NUMBER) or self._at(Kind.DURATION)):
            raise self._unexpected("@", "timestamp")
        number = self._number(self._take())
        return add_at(expr, -number.value if sign == "-" else number.value, self._end, self._query)

    def _close_edge(self) -> None:
        with self._within("@, expected timestamp"):
            self._expect(Kind.LEFT_PAREN)
            self._expect(Kind.RIGHT_PAREN)


class _Unexpected(ParseError):
    """A token that cannot stand where it does; `has_context` once the message says in what."""

    def __init__(self, message: str, start: int, query: str, has_context: bool) -> None:
        super().__init__(message, start, query)
        self.has_context = has_context


def _unknown_unit(text: str) -> str | None:
    """prometheus/common's complaint about units such as `hs`, which `exporter.duration` does not single out."""
    rest = text
    while rest:
        rest = rest.lstrip("0123456789")
        unit = rest[: len(rest) - len(rest.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        rest = rest[len(unit) :]
        if unit and unit not in ("ms", "s", "m", "h", "d", "w", "y"):
            return f"unknown unit {quote(unit)} in duration {quote(text)}"
        if not unit:
            return None
    return None


def _is_utf8(text: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 for char in text)
