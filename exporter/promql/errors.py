"""What can go wrong with a query, one exception for each thing a caller can do about it."""

from __future__ import annotations


class ParseError(Exception):
    """The text is not a valid expression. Its str() is Prometheus' own, with the place: `1:5: parse error: …`.

    start: where in `query` the trouble begins, counted in characters.
    """

    def __init__(self, message: str, start: int, query: str) -> None:
        super().__init__(message, start, query)
        self.message = message
        self.start = start
        self.query = query

    def __str__(self) -> str:
        return f"{line_column(self.query, self.start)}: parse error: {self.message}"


class ExecutionError(Exception):
    """The expression cannot be evaluated over this data: too many samples, ambiguous matching, a bad label name."""


class TooManySamples(ExecutionError):
    """More samples than one query may have in memory."""

    def __init__(self) -> None:
        super().__init__("query processing would load too many samples into memory in query execution")


class QueryTimeout(Exception):
    """The deadline passed before the answer was ready."""

    def __init__(self) -> None:
        super().__init__("query timed out in expression evaluation")


class QueryCanceled(Exception):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("query was canceled in expression evaluation")


def line_column(query: str, start: int) -> str:
    """`line:column` of a place in a query, both from 1; columns count bytes, as Prometheus' do.

    Source: prometheus/promql/parser/posrange, StartPosInput.
    """
    if not query:
        return "unknown position"
    before = query[:start]
    line = before.count("\n") + 1
    column = len(before.rpartition("\n")[2].encode("utf-8", "surrogatepass")) + 1
    return f"{line}:{column}"


class WrongExpressionType(ParseError):
    """A valid expression that cannot be asked for like this, such as `x[5m]` over a range."""

    def __init__(self, message: str, query: str) -> None:
        super().__init__(message, 0, query)

    def __str__(self) -> str:
        return self.message
