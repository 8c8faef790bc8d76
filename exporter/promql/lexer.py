"""Text to tokens, one at a time, with Prometheus' own complaints about characters that cannot be.

Source: prometheus/promql/parser/lex.go. Tokens are made on demand, since what a character means
depends on whether a brace or a bracket is open.
"""

from __future__ import annotations

import re

from exporter.promql.errors import ParseError
from exporter.promql.gotext import rune
from exporter.promql.number_lexer import scan_number_or_duration
from exporter.promql.string_lexer import scan_raw_string, scan_string
from exporter.promql.tokens import FILL_KEYWORDS, WORDS, Kind, Token

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_SPACES = re.compile(r"[ \t\r\n]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_ALPHA = re.compile(r"[A-Za-z_]*")
_DIGIT = re.compile(r"\.?[0-9]")
_OPERATOR = re.compile(r"==|!=|<=|</|<|>=|>/|>|[-+*/%^@]")
_DURATION_WORDS = ("step", "range", "max_of", "min_of")


class Lexer:
    """Tokens of one query; `next` raises ParseError where the text cannot go on."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._at = 0
        self._parens = 0
        self._in_braces = False
        self._in_brackets = False
        self._bracket_start = False  # between `[` and the first number: only a duration may come
        self._had_colon = False
        self._had_duration = False

    def next(self) -> Token:
        """The next token; EOF again and again at the end."""
        if self._in_brackets and self._bracket_start:
            return self._duration_token()
        blank = _BLANK.match(self._query, self._at)
        self._at = blank.end() if blank else self._at
        return self._brace_token() if self._in_braces else self._token()

    def _error(self, message: str, start: int | None = None) -> ParseError:
        return ParseError(message, self._at if start is None else start, self._query)

    def _emit(self, kind: Kind, end: int) -> Token:
        start, self._at = self._at, end
        return Token(kind, start, self._query[start:end])

    def _token(self) -> Token:
        char = self._query[self._at : self._at + 1]
        if not char:
            return self._end()
        if "0" <= char <= "9" or (char == "." and _DIGIT.match(self._query, self._at)):
            return self._number()
        if char in "'\"`":
            return self._string(char)
        if char.isascii() and (char.isalpha() or char in "_:"):
            return self._bracket_word(char) if self._in_brackets else self._word()
        if char in "(){}[],=":
            return self._punctuation(char)
        operator = _OPERATOR.match(self._query, self._at)
        if operator is not None:
            return self._emit(Kind.OPERATOR, operator.end())
        if char == "!":
            following = self._query[self._at + 1 : self._at + 2]
            raise self._error(f"unexpected character after '!': {rune(following) if following else _NO_RUNE}")
        raise self._error(f"unexpected character: {rune(char)}")

    def _end(self) -> Token:
        if self._parens:
            raise self._error("unclosed left parenthesis")
        if self._in_brackets:
            raise self._error("unclosed left bracket")
        return self._emit(Kind.EOF, self._at)

    def _punctuation(self, char: str) -> Token:
        if char == "=":
            return self._equals()
        if char == "}":
            raise self._error("unexpected character: '}'")
        if char == "[":
            return self._open_bracket()
        if char == "]":
            return self._close_bracket()
        if char == ")":
            return self._close_paren()
        if char == "(":
            self._parens += 1
            return self._emit(Kind.LEFT_PAREN, self._at + 1)
        if char == "{":
            self._in_braces = True
            return self._emit(Kind.LEFT_BRACE, self._at + 1)
        return self._emit(Kind.COMMA, self._at + 1)

    def _equals(self) -> Token:
        following = self._query[self._at + 1 : self._at + 2]
        if following == "~":
            raise self._error("unexpected character after '=': '~'")
        if following == "=":
            return self._emit(Kind.OPERATOR, self._at + 2)
        return self._emit(Kind.EQL, self._at + 1)

    def _close_paren(self) -> Token:
        self._parens -= 1
        if self._parens < 0:
            raise self._error("unexpected right parenthesis ')'", self._at + 1)
        return self._emit(Kind.RIGHT_PAREN, self._at + 1)

    def _open_bracket(self) -> Token:
        if self._in_brackets:
            raise self._error("unexpected left bracket '['")
        self._in_brackets = self._bracket_start = True
        self._had_colon = False
        return self._emit(Kind.LEFT_BRACKET, self._at + 1)

    def _close_bracket(self) -> Token:
        if not self._in_brackets:
            raise self._error("unexpected right bracket ']'")
        self._in_brackets = self._bracket_start = False
        return self._emit(Kind.RIGHT_BRACKET, self._at + 1)

    def _number(self) -> Token:
        end, is_duration = scan_number_or_duration(self._query, self._at)
        return self._emit(Kind.DURATION if is_duration else Kind.NUMBER, end)

    def _string(self, mark: str) -> Token:
        scan = scan_raw_string if mark == "`" else scan_string
        return self._emit(Kind.STRING, scan(self._query, self._at))

    def _word(self) -> Token:
        match = _WORD.match(self._query, self._at)
        end = match.end() if match else self._at + 1
        word = self._query[self._at : end]
        kind = WORDS.get(word.lower())
        if kind is None:
            kind = Kind.METRIC_IDENTIFIER if ":" in word else Kind.IDENTIFIER
        elif word.lower() in FILL_KEYWORDS and not self._paren_follows(end):
            kind = Kind.IDENTIFIER
        return self._emit(kind, end)

    def _paren_follows(self, at: int) -> bool:
        spaces = _SPACES.match(self._query, at)
        return self._query.startswith("(", spaces.end() if spaces else at)

    def _bracket_word(self, char: str) -> Token:
        """After the first duration in brackets: a colon, or a word of the duration expressions."""
        if char == ":":
            if self._had_colon:
                raise self._error("unexpected colon ':'")
            self._had_colon = True
            return self._emit(Kind.COLON, self._at + 1)
        if char.lower() in "srm":
            word = self._duration_word()
            if word is not None:
                return word
        raise self._error(f"unexpected character: {rune(char)}, expected ':'")

    def _duration_word(self) -> Token | None:
        match = _ALPHA.match(self._query, self._at)
        end = match.end() if match else self._at
        if self._query[self._at : end].lower() not in _DURATION_WORDS:
            return None
        return self._emit(Kind.PREPROCESSOR, end)

    def _duration_token(self) -> Token:
        """What may stand right after `[`."""
        spaces = _SPACES.match(self._query, self._at)
        self._at = spaces.end() if spaces else self._at
        char = self._query[self._at : self._at + 1]
        if not char:
            raise self._error("unexpected end of input in duration expression")
        if "0" <= char <= "9" or (char == "." and _DIGIT.match(self._query, self._at)):
            self._had_duration = True
            self._bracket_start = False
            return self._number()
        if char == ":":
            return self._duration_colon()
        if char in "()]":
            return self._punctuation(char)
        if char in "+-*/%^":
            return self._emit(Kind.OPERATOR, self._at + 1)
        if char == ",":
            return self._emit(Kind.COMMA, self._at + 1)
        word = self._duration_word() if char.lower() in "srm" else None
        if word is None:
            raise self._error(f"unexpected character in duration expression: {rune(char)}")
        return word

    def _duration_colon(self) -> Token:
        if not self._had_duration:
            raise self._error("unexpected colon before duration in duration expression", self._at + 1)
        if self._had_colon:
            raise self._error("unexpected repeated colon in duration expression", self._at + 1)
        self._had_colon = True
        return self._emit(Kind.COLON, self._at + 1)

    def _brace_token(self) -> Token:
        char = self._query[self._at : self._at + 1]
        if not char:
            raise self._error("unexpected end of input inside braces")
        identifier = _IDENTIFIER.match(self._query, self._at)
        if identifier is not None:
            return self._emit(Kind.IDENTIFIER, identifier.end())
        if char == ",":
            return self._emit(Kind.COMMA, self._at + 1)
        if char in "'\"`":
            return self._string(char)
        if char in "=!":
            return self._match_operator(char)
        if char == "{":
            raise self._error("unexpected left brace '{'")
        if char == "}":
            self._in_braces = False
            return self._emit(Kind.RIGHT_BRACE, self._at + 1)
        raise self._error(f"unexpected character inside braces: {rune(char)}")

    def _match_operator(self, char: str) -> Token:
        following = self._query[self._at + 1 : self._at + 2]
        if following == "~" or (char == "!" and following == "="):
            return self._emit(Kind.OPERATOR, self._at + 2)
        if char == "=":
            return self._emit(Kind.EQL, self._at + 1)
        shown = rune(following) if following else _NO_RUNE
        raise self._error(f"unexpected character after '!' inside braces: {shown}")


_NO_RUNE = "'\\ufffd'"  # how Go prints the end of the text as a character
