"""Tokens with as much pushed back as needed, and errors that blame the line read last."""

from __future__ import annotations

from collections.abc import Iterator

from alerter.template.errors import TemplateError
from alerter.template.lexer import Kind, Token, tokens


class Stream:
    """Tokens with as much pushed back as needed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._tokens: Iterator[Token] = tokens(text)
        self._pushed: list[Token] = []
        self._last = Token(Kind.TEXT, 0, "", 1)

    def next(self) -> Token:
        if self._pushed:
            return self._pushed.pop()
        self._last = next(self._tokens, self._last)
        return self._last

    def push(self, *back: Token) -> None:
        """Give tokens back; the last given is the first to be had again."""
        self._pushed.extend(back)

    def peek(self) -> Token:
        token = self.next()
        self.push(token)
        return token

    def next_word(self) -> Token:
        """The next token that is not space."""
        while (token := self.next()).kind is Kind.SPACE:
            pass
        return token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.push(token)
        return token

    def failure(self, message: str, blamed: Token | None = None) -> TemplateError:
        """The error at a token, else at what was read last; its text names the line read last, as Go's does."""
        at = blamed or self._last
        column = at.at - (self._text.rfind("\n", 0, at.at) + 1)
        return TemplateError(f"template: {self.name}:{self._last.line}: {message}", at.line, column)
