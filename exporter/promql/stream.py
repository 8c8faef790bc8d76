"""Tokens with one of look-ahead, and the complaints about those that cannot stand where they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.promql.errors import ParseError
from exporter.promql.lexer import Lexer
from exporter.promql.tokens import Kind, Token

MAX_DEPTH = 200
TOO_DEEP = f"expression is nested too deeply: more than {MAX_DEPTH} levels"


class Stream:
    """The tokens of one query, taken from the lexer only when they are needed, so that mistakes are
    told in the order in which they stand. end: just past the last token taken.
    """

    def __init__(self, query: str) -> None:
        self.query = query
        self.end = 0
        self._lexer = Lexer(query)
        self._ahead: Token | None = None
        self._depth = 0

    def peek(self) -> Token:
        """The next token, which stays."""
        if self._ahead is None:
            self._ahead = self._lexer.next()
        return self._ahead

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self._ahead = None
        self.end = token.end
        return token

    def at(self, kind: Kind, *words: str) -> bool:
        """Whether the next token is of this kind, and one of the words if there are any."""
        token = self.peek()
        return token.kind is kind and (not words or token.word in words)

    def expect(self, kind: Kind) -> Token:
        """The next token, which must be of this kind."""
        if not self.at(kind):
            raise self.unexpected()
        return self.take()

    def error(self, message: str, start: int) -> ParseError:
        """A complaint about a place."""
        return ParseError(message, start, self.query)

    def unexpected(self, context: str = "", expected: str = "") -> Unexpected:
        """A complaint about the next token."""
        token = self.peek()
        message = f"unexpected {token.describe()}"
        message += f" in {context}" if context else ""
        message += f", expected {expected}" if expected else ""
        return Unexpected(message, token.start, self.query, bool(context))

    @contextmanager
    def within(self, context: str) -> Iterator[None]:
        """A complaint from inside that names no context of its own gets this one."""
        try:
            yield
        except Unexpected as err:
            if err.has_context:
                raise
            raise Unexpected(f"{err.message} in {context}", err.start, self.query, True) from None

    def deeper(self, start: int) -> None:
        """One level further in. Raises ParseError at `start` beyond the limit."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(TOO_DEEP, start)

    def out(self) -> None:
        """One level out again."""
        self._depth -= 1


class Unexpected(ParseError):
    """A token that cannot stand where it does; `has_context` once the message says in what."""

    def __init__(self, message: str, start: int, query: str, has_context: bool) -> None:
        super().__init__(message, start, query)
        self.has_context = has_context
