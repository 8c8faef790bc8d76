"""Where a number or a duration ends.

Source: prometheus/promql/parser/lex.go, scanNumber and acceptRemainingDuration.
"""

from __future__ import annotations

import re

from exporter.promql.errors import ParseError
from exporter.promql.gotext import quote

_DECIMAL = "0123456789"
_HEX = _DECIMAL + "abcdefABCDEF"
# The common case at once: digits, perhaps a fraction, perhaps an exponent, perhaps one duration unit.
_SIMPLE = re.compile(r"(?:[1-9][0-9]*|0)(?:\.[0-9]+)?(?![0-9A-Za-z_.])")
_WORD_CHAR = re.compile(r"[0-9A-Za-z_]")


def scan_number_or_duration(query: str, start: int) -> tuple[int, bool]:
    """The end of the number or duration at `start`, and whether it is a duration. Raises ParseError."""
    simple = _SIMPLE.match(query, start)
    if simple is not None:
        return simple.end(), False
    scan = _Scan(query, start)
    if scan.number():
        return scan.at, False
    if scan.rest_of_duration():
        return scan.at, True
    raise ParseError(f"bad number or duration syntax: {quote(query[start : scan.at])}", start, query)


class _Scan:
    def __init__(self, query: str, start: int) -> None:
        self._query = query
        self._start = start
        self.at = start

    def _is(self, chars: str) -> bool:
        char = self._query[self.at : self.at + 1]
        return bool(char) and char in chars

    def _accept(self, chars: str) -> bool:
        if not self._is(chars):
            return False
        self.at += 1
        return True

    def _accept_run(self, chars: str) -> None:
        while self._accept(chars):
            pass

    def _word_follows(self) -> bool:
        return _WORD_CHAR.match(self._query, self.at) is not None

    def number(self) -> bool:
        digits = _DECIMAL
        if self._accept("0") and self._accept("xX"):
            self._accept("_")
            digits = _HEX
        self._accept(".")
        self._accept(digits)
        if not self._rest_of_number(digits):
            return False
        return self.at > self._start and not self._word_follows()

    def _rest_of_number(self, digits: str) -> bool:
        """Digits with at most one dot and one exponent; False leaves `at` where the mistake is."""
        had_dot = had_exponent = False
        while self._is(digits + "._eE"):
            if self._is("."):
                self._accept(".")
                if had_dot or self._accept("_.") or len(digits) > 10:
                    return False
                had_dot = True
            elif self._is("eE") and had_exponent:
                self._accept("eE")
                return False
            elif self._accept("eE"):
                had_exponent = True
                self._accept("+-")
                if self._accept("._eE") or self._at_end():
                    return False
            elif self._accept("_"):
                if self._accept("._eE") or self._at_end():
                    return False
            else:
                self._accept_run(digits)
        return True

    def _at_end(self) -> bool:
        return self.at >= len(self._query)

    def rest_of_duration(self) -> bool:
        if not self._accept("smhdwy"):
            return False
        self._accept("s")
        while self._accept(_DECIMAL):
            self._accept_run(_DECIMAL)
            if not self._accept("smhdw"):
                return False
            self._accept("s")
        if self._word_follows():
            self.at += 1
            return False
        return True
