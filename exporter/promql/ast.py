"""The expression tree. Every node is frozen, knows its place in the query, and prints as Prometheus prints it.

`str(node)` is the canonical text; parsed again it gives an equal tree (places do not count).
Times and lengths are milliseconds. Source: prometheus/promql/parser, ast.go and printer.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from exporter.duration import format_duration
from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.promql.gotext import format_f, quote
from exporter.promql.signatures import Signature, ValueType

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Span(NamedTuple):
    """A place in the query: characters from `start`, up to but not including `end`."""

    start: int
    end: int


NOWHERE = Span(0, 0)


class AtEdge(Enum):
    """`@ start()` and `@ end()`: an edge of the range that is asked for."""

    START = "start"
    END = "end"


At: TypeAlias = int | AtEdge | None
"""Where an `@` modifier pins a selector: Unix milliseconds, an edge, or nowhere."""


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number; `is_duration` when it was written as one (`1h`), in seconds all the same."""

    value: float
    is_duration: bool = False
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.SCALAR

    def __str__(self) -> str:
        if not self.is_duration:
            return format_f(self.value)
        return format_duration(int(self.value * 1000 + (0.5 if self.value >= 0 else -0.5)))


@dataclass(frozen=True, slots=True)
class DurationExpr:
    """Arithmetic on lengths of time; the operators are also `step`, `range`, `min_of` and `max_of`.

    `left` is None for a sign, both are for `step()` and `range()`. `wrapped`: it stood in parentheses.
    """

    op: str
    left: Length | None = None
    right: Length | None = None
    wrapped: bool = False
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        text = self._bare()
        return f"({text})" if self.wrapped else text

    def _bare(self) -> str:
        if self.op in ("min_of", "max_of"):
            return f"{self.op}({self.left}, {self.right})"
        if self.right is None:
            return f"{self.op}()"
        if self.left is None:
            return f"{self.op if self.op == '-' else ''}{self.right}"
        return f"{self.left} {self.op} {self.right}"


Length: TypeAlias = NumberLiteral | DurationExpr
"""A length of time as it is written; a number is seconds."""


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string."""

    value: str
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.STRING

    def __str__(self) -> str:
        return quote(self.value)


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """`name{matchers}` with its modifiers. `matchers` holds the name too, as an equality on `__name__`."""

    name: str
    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    offset_expr: DurationExpr | None = None
    at: At = None
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.VECTOR

    def bare(self) -> str:
        """The selector without its modifiers."""
        shown = sorted(format_matcher(m) for m in self.matchers if not self._is_name(m))
        return self.name + ("{" + ",".join(shown) + "}" if shown else "")

    def _is_name(self, matcher: Matcher) -> bool:
        is_name = matcher.name == METRIC_NAME and matcher.type is MatchType.EQUAL
        return is_name and matcher.value == self.name and self.name != ""

    def __str__(self) -> str:
        return self.bare() + format_modifiers(self.at, self.offset_ms, self.offset_expr)


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    """`selector[range]`; the modifiers are the selector's."""

    selector: VectorSelector
    range_ms: int
    range_expr: DurationExpr | None = None
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.MATRIX

    def __str__(self) -> str:
        own = self.selector
        length = self.range_expr or format_duration(self.range_ms)
        return f"{own.bare()}[{length}]{format_modifiers(own.at, own.offset_ms, own.offset_expr)}"


@dataclass(frozen=True, slots=True)
class Subquery:
    """`expr[range:step]`; no step means the engine's default."""

    expr: Expr
    range_ms: int
    range_expr: DurationExpr | None = None
    step_ms: int = 0
    step_expr: DurationExpr | None = None
    offset_ms: int = 0
    offset_expr: DurationExpr | None = None
    at: At = None
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.MATRIX

    def __str__(self) -> str:
        length = self.range_expr or format_duration(self.range_ms)
        step = self.step_expr or (format_duration(self.step_ms) if self.step_ms else "")
        return f"{self.expr}[{length}:{step}]{format_modifiers(self.at, self.offset_ms, self.offset_expr)}"


@dataclass(frozen=True, slots=True)
class Paren:
    """`(expr)`."""

    expr: Expr
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return self.expr.type

    def __str__(self) -> str:
        return f"({self.expr})"


@dataclass(frozen=True, slots=True)
class Unary:
    """`-expr` or `+expr`."""

    op: str
    expr: Expr
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return self.expr.type

    def __str__(self) -> str:
        return f"{self.op}{self.expr}"


class Card(Enum):
    """How many elements of each side may match one another."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True)
class Matching:
    """Which elements of two vectors belong together, and which labels come along from the "one" side."""

    card: Card = Card.ONE_TO_ONE
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()

    def __str__(self) -> str:
        grouped = self.card in (Card.MANY_TO_ONE, Card.ONE_TO_MANY)
        text = ""
        if self.labels or self.on or grouped:
            text = f" {'on' if self.on else 'ignoring'} ({format_labels(self.labels)})"
        if grouped:
            side = "left" if self.card is Card.MANY_TO_ONE else "right"
            text += f" group_{side} ({format_labels(self.include)})"
        return text


COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
SET_OPERATORS = frozenset(("and", "or", "unless"))
TRIMS = frozenset(("</", ">/"))


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`. `matching` is None unless both sides are vectors.

    A chain of these may be long on the left; whoever walks a tree walks `spine` instead of recursing.
    """

    op: str
    left: Expr
    right: Expr
    matching: Matching | None = None
    return_bool: bool = False
    type: ValueType = field(default=ValueType.VECTOR, compare=False)
    span: Span = field(default=NOWHERE, compare=False)

    def spine(self) -> tuple[Expr, list[Binary]]:
        """The leftmost operand of the chain, and its operations from the innermost out; self is the last."""
        chain = [self]
        while isinstance(chain[-1].left, Binary):
            chain.append(chain[-1].left)
        return chain[-1].left, chain[::-1]

    def infix(self) -> str:
        """The operator with its modifiers: `> bool on (job)`."""
        return f"{self.op}{' bool' if self.return_bool else ''}{self.matching or ''}"

    def __str__(self) -> str:
        first, chain = self.spine()
        return str(first) + "".join(f" {node.infix()} {node.right}" for node in chain)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`op by (grouping) (param, expr)`."""

    op: str
    expr: Expr
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def type(self) -> ValueType:
        return ValueType.VECTOR

    def __str__(self) -> str:
        clause = ""
        if self.without or self.grouping:
            clause = f" {'without' if self.without else 'by'} ({format_labels(self.grouping)}) "
        param = f"{self.param}, " if self.param is not None else ""
        return f"{self.op}{clause}({param}{self.expr})"


@dataclass(frozen=True, slots=True)
class Call:
    """`function(args)`."""

    function: Signature
    args: tuple[Expr, ...]
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def type(self) -> ValueType:
        return self.function.returns

    def __str__(self) -> str:
        return f"{self.function.name}({', '.join(map(str, self.args))})"


Expr: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Paren
    | Unary
    | Binary
    | Aggregation
    | Call
)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions right below this one, in the order they are written."""
    match expr:
        case MatrixSelector():
            return (expr.selector,)
        case Subquery() | Paren() | Unary():
            return (expr.expr,)
        case Binary():
            return (expr.left, expr.right)
        case Aggregation():
            return (expr.expr,) if expr.param is None else (expr.param, expr.expr)
        case Call():
            return expr.args
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything below it."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(children(node)))


def without_parens(expr: Expr) -> Expr:
    """The expression inside however many parentheses."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def format_matcher(matcher: Matcher) -> str:
    """`name="value"`, the name quoted when it is no plain identifier."""
    name = matcher.name if _LABEL_NAME.fullmatch(matcher.name) else quote(matcher.name)
    return f"{name}{matcher.type}{quote(matcher.value)}"


def format_labels(names: tuple[str, ...]) -> str:
    """`a, b`, each quoted when it is no plain identifier."""
    return ", ".join(name if _LABEL_NAME.fullmatch(name) else quote(name) for name in names)


def format_modifiers(at: At, offset_ms: int, offset_expr: DurationExpr | None) -> str:
    """` @ 1.000 offset 5m`, or nothing."""
    text = ""
    if isinstance(at, AtEdge):
        text = f" @ {at.value}()"
    elif at is not None:
        text = f" @ {at / 1000:.3f}"
    if offset_expr is not None:
        return f"{text} offset {offset_expr}"
    return f"{text} offset {format_duration(offset_ms)}" if offset_ms else text
