"""Where a quoted string ends, and what is wrong with it.

Source: prometheus/promql/parser/lex.go, lexString, lexEscape and lexRawString.
"""

from __future__ import annotations

import re

from exporter.promql.errors import ParseError
from exporter.promql.gotext import rune

_PLAIN = {mark: re.compile(rf"[^\\{mark}\n\ufffd\ud800-\udfff]*") for mark in "\"'"}
_RAW = re.compile("[^`\ufffd\ud800-\udfff]*")
_SIMPLE_ESCAPES = "abfnrtv\\"
_CODE_ESCAPES = {"x": (2, 16, 255), "u": (4, 16, 0x10FFFF), "U": (8, 16, 0x10FFFF)}


def scan_raw_string(query: str, start: int) -> int:
    """The end of the back-quoted string at `start`."""
    match = _RAW.match(query, start + 1)
    at = match.end() if match else start + 1
    if at >= len(query):
        raise ParseError("unterminated raw string", start, query)
    if query[at] != "`":
        raise ParseError("invalid UTF-8 rune", start, query)
    return at + 1


def scan_string(query: str, start: int) -> int:
    """The end of the quoted string at `start`."""
    mark = query[start]
    at = start + 1
    while True:
        match = _PLAIN[mark].match(query, at)
        at = match.end() if match else at
        char = query[at : at + 1]
        if char == mark:
            return at + 1
        if char == "\\":
            at = _scan_escape(query, start, at + 1, mark)
        elif not char or char == "\n":
            raise ParseError("unterminated quoted string", start, query)
        else:
            raise ParseError("invalid UTF-8 rune", start, query)


def _scan_escape(query: str, start: int, at: int, mark: str) -> int:
    """Past the escape whose letter is at `at`."""
    letter = query[at : at + 1]
    if not letter:
        raise ParseError("escape sequence not terminated", start, query)
    if letter in _SIMPLE_ESCAPES or letter == mark:
        return at + 1
    if letter in "01234567":
        return _scan_code(query, start, at, 3, 8, 255)
    if letter in _CODE_ESCAPES:
        width, base, largest = _CODE_ESCAPES[letter]
        return _scan_code(query, start, at + 1, width, base, largest)
    raise ParseError(f"unknown escape sequence {_unicode(letter)}", start, query)


def _scan_code(query: str, start: int, at: int, width: int, base: int, largest: int) -> int:
    code = 0
    for i in range(at, at + width):
        char = query[i : i + 1]
        digit = int(char, 16) if char and char in "0123456789abcdefABCDEF" else 16
        if digit >= base:
            reason = (
                f"illegal character {_unicode(char)} in escape sequence" if char else "escape sequence not terminated"
            )
            raise ParseError(reason, start, query)
        code = code * base + digit
    if code > largest or 0xD800 <= code < 0xE000:
        raise ParseError("escape sequence is an invalid Unicode code point", start, query)
    return at + width


def _unicode(char: str) -> str:
    return f"U+{ord(char):04X} {rune(char)}"
