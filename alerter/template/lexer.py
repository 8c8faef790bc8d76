"""Template text to tokens. Source: Go text/template/parse, lex.go (Go 1.19)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from alerter.template.quoting import quote, unicode_point

SPACES = " \t\r\n"
_TERMINATORS = SPACES + ".,|:)(}"
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*)(?:\.[0-9a-fA-F_]*)?(?:[eEpP][+-]?[0-9_]*)?"
)
_DECIMAL = re.compile(r"[+-]?[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?")


class Kind(Enum):
    """What a token is."""

    ERROR = auto()
    BOOL = auto()
    CHAR = auto()
    CHAR_CONSTANT = auto()
    ASSIGN = auto()
    DECLARE = auto()
    EOF = auto()
    FIELD = auto()
    IDENTIFIER = auto()
    LEFT = auto()
    LEFT_PAREN = auto()
    NUMBER = auto()
    PIPE = auto()
    RAW_STRING = auto()
    RIGHT = auto()
    RIGHT_PAREN = auto()
    SPACE = auto()
    STRING = auto()
    TEXT = auto()
    VARIABLE = auto()
    KEYWORD = auto()
    DOT = auto()
    NIL = auto()


KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text. `at` is its offset in characters, `line` where it starts."""

    kind: Kind
    at: int
    text: str
    line: int

    def __str__(self) -> str:
        """As Go's error messages show it."""
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.DOT, Kind.NIL):
            return f"<{self.text}>"
        return f"{quote(self.text[:10])}..." if len(self.text.encode()) > 10 else quote(self.text)


def is_word(char: str) -> bool:
    """Whether a character may stand in a name: letters and digits of any script, and `_`."""
    return char == "_" or char.isalpha() or char.isdecimal()


class LexError(Exception):
    """The text cannot be cut at this place."""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a template; the last is EOF or ERROR."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.start = 0
        self.line = 1
        self.parens = 0

    def run(self) -> Iterator[Token]:
        try:
            while (left := self.text.find("{{", self.at)) >= 0:
                yield from self.plain(left)
                yield from self.action()
            if self.at < len(self.text):
                yield self.take(Kind.TEXT, len(self.text))
            yield Token(Kind.EOF, self.at, "", self.line)
        except LexError as err:
            yield Token(Kind.ERROR, self.start, str(err), self.line)

    def take(self, kind: Kind, end: int) -> Token:
        """The token from here to `end`."""
        token = Token(kind, self.at, self.text[self.at : end], self.line)
        self.skip_to(end)
        return token

    def skip_to(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = self.start = end

    def peek(self, ahead: int = 0) -> str:
        """The character there, "" at the end."""
        return self.text[self.at + ahead : self.at + ahead + 1]

    def plain(self, left: int) -> Iterator[Token]:
        """The text up to an action at `left`; a trim marker takes the space before it."""
        end = left
        if self.trims_left(left + 2):
            end = self.at + len(self.text[self.at : left].rstrip(SPACES))
        if end > self.at:
            yield self.take(Kind.TEXT, end)
        self.skip_to(left)

    def trims_left(self, at: int) -> bool:
        return self.text.startswith("-", at) and self.text[at + 1 : at + 2] in SPACES and at + 1 < len(self.text)

    def right(self) -> int:
        """The length of the closing delimiter here with its trim marker, 0 if it is not here."""
        if self.text.startswith("}}", self.at):
            return 2
        if self.peek() and self.peek() in SPACES and self.text.startswith("-}}", self.at + 1):
            return 4
        return 0

    def action(self) -> Iterator[Token]:
        body = self.at + 2 + (2 if self.trims_left(self.at + 2) else 0)
        if self.text.startswith("/*", body):
            self.comment(body)
            return
        yield self.take(Kind.LEFT, self.at + 2)
        self.skip_to(body)
        self.parens = 0
        while not (length := self.right()):
            yield self.inside()
        if self.parens:
            raise LexError("unclosed left paren")
        yield self.closing(length)

    def closing(self, length: int) -> Token:
        if length == 4:
            self.skip_to(self.at + 2)
        token = self.take(Kind.RIGHT, self.at + 2)
        if length == 4:
            self.skip_spaces()
        return token

    def skip_spaces(self) -> None:
        rest = self.text[self.at :]
        self.skip_to(len(self.text) - len(rest.lstrip(SPACES)))

    def comment(self, body: int) -> None:
        end = self.text.find("*/", body + 2)
        if end < 0:
            raise LexError("unclosed comment")
        self.skip_to(end + 2)
        length = self.right()
        if not length:
            raise LexError("comment ends before closing delimiter")
        self.closing(length)

    def inside(self) -> Token:
        """The next token within an action."""
        char = self.peek()
        if not char:
            raise LexError("unclosed action")
        if char in SPACES:
            return self.space()
        if scan := _SCANNERS.get(char):
            return scan(self)
        if char in "+-" or "0" <= char <= "9":
            return self.number()
        if is_word(char):
            return self.word(Kind.IDENTIFIER)
        if char.isascii() and char.isprintable():
            return self.take(Kind.CHAR, self.at + 1)
        raise LexError(f"unrecognized character in action: {unicode_point(char)}")

    def space(self) -> Token:
        end = self.at
        while self.text[end : end + 1] and self.text[end] in SPACES:
            end += 1
        if self.text.startswith("-}}", end):
            end -= 1
        return self.take(Kind.SPACE, end)

    def colon(self) -> Token:
        if self.peek(1) != "=":
            raise LexError("expected :=")
        return self.take(Kind.DECLARE, self.at + 2)

    def paren(self) -> Token:
        if self.peek() == "(":
            self.parens += 1
            return self.take(Kind.LEFT_PAREN, self.at + 1)
        self.parens -= 1  # one too many is no operand: the parser refuses it
        return self.take(Kind.RIGHT_PAREN, self.at + 1)

    def quoted(self) -> Token:
        """A string or character constant; what is within is checked by the parser."""
        delimiter = self.peek()
        end = self.at + 1
        while (char := self.text[end : end + 1]) != delimiter:
            if char == "\\":
                end += 1
                char = self.text[end : end + 1]
            if char in ("", "\n"):
                what = "quoted string" if delimiter == '"' else "character constant"
                raise LexError(f"unterminated {what}")
            end += 1
        return self.take(Kind.STRING if delimiter == '"' else Kind.CHAR_CONSTANT, end + 1)

    def raw(self) -> Token:
        end = self.text.find("`", self.at + 1)
        if end < 0:
            raise LexError("unterminated raw quoted string")
        return self.take(Kind.RAW_STRING, end + 1)

    def dot(self) -> Token:
        following = self.peek(1)
        if "0" <= following <= "9":
            return self.number()
        if not following or following in _TERMINATORS:
            return self.take(Kind.DOT, self.at + 1)
        return self.word(Kind.FIELD)

    def variable(self) -> Token:
        return self.word(Kind.VARIABLE)

    def word(self, kind: Kind) -> Token:
        """A name, with the `.` or `$` that it may start with."""
        end = self.at if kind is Kind.IDENTIFIER else self.at + 1
        while is_word(self.text[end : end + 1]):
            end += 1
        following = self.text[end : end + 1]
        if following and following not in _TERMINATORS:
            raise LexError(f"bad character {unicode_point(following)}")
        if kind is Kind.IDENTIFIER:
            kind = _word_kind(self.text[self.at : end])
        return self.take(kind, end)

    def number(self) -> Token:
        end = self.number_end(self.at)
        if self.text[end : end + 1] in ("+", "-"):  # where Go would read a complex number
            end = self.number_end(end)
        elif not is_word(self.text[end : end + 1]):
            return self.take(Kind.NUMBER, end)
        raise LexError(f"bad number syntax: {quote(self.text[self.at : end + is_word(self.text[end : end + 1])])}")

    def number_end(self, at: int) -> int:
        match = _NUMBER.match(self.text, at)
        if match is not None and not match[0].lstrip("+-").lower().startswith(("0x", "0o", "0b")):
            match = _DECIMAL.match(self.text, at)
        end = match.end() if match else at
        return end + self.text.startswith("i", end)  # of an imaginary number, which the parser refuses


def _word_kind(word: str) -> Kind:
    if word in KEYWORDS:
        return Kind.KEYWORD
    if word in ("true", "false"):
        return Kind.BOOL
    return Kind.NIL if word == "nil" else Kind.IDENTIFIER


_SCANNERS: dict[str, Callable[[_Lexer], Token]] = {
    ":": _Lexer.colon,
    "=": lambda lexer: lexer.take(Kind.ASSIGN, lexer.at + 1),
    "|": lambda lexer: lexer.take(Kind.PIPE, lexer.at + 1),
    '"': _Lexer.quoted,
    "'": _Lexer.quoted,
    "`": _Lexer.raw,
    "$": _Lexer.variable,
    ".": _Lexer.dot,
    "(": _Lexer.paren,
    ")": _Lexer.paren,
}
