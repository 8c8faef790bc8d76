"""Strings and numbers as Go's fmt and strconv write and read them, where Prometheus' texts show it."""

from __future__ import annotations

import math
from decimal import Decimal

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_UNESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def quote(text: str, mark: str = '"') -> str:
    """The text as a Go string literal. Source: strconv.Quote."""
    if mark not in text and "\\" not in text and text.isprintable():
        return f"{mark}{text}{mark}"
    return mark + "".join(_quoted(char, mark) for char in text) + mark


def _quoted(char: str, mark: str) -> str:
    if char in (mark, "\\"):
        return "\\" + char
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str:
    """The text of a PromQL string literal in single, double or back quotes.

    Raises ValueError("invalid syntax"). Source: prometheus/util/strutil, Unquote.
    """
    mark, body = literal[:1], literal[1:-1]
    if len(literal) < 2 or literal[-1] != mark or mark not in "\"'`":
        raise ValueError("invalid syntax")
    if mark == "`":
        return body
    if "\\" not in body:
        return body
    return _unescaped(body, mark)


def _unescaped(body: str, mark: str) -> str:
    out = bytearray()
    at = 0
    while at < len(body):
        if body[at] != "\\":
            out += body[at].encode("utf-8", "surrogateescape")
            at += 1
            continue
        piece, at = _escape(body, at + 1, mark)
        out += piece
    return out.decode("utf-8", "surrogateescape")


def _escape(body: str, at: int, mark: str) -> tuple[bytes, int]:
    """The bytes of the escape whose letter is at `at`, and where the next character is."""
    letter = body[at : at + 1]
    if letter in _UNESCAPES and letter:
        return _UNESCAPES[letter].encode(), at + 1
    if letter and letter == mark:
        return letter.encode(), at + 1
    if letter in _HEX_DIGITS:
        width = _HEX_DIGITS[letter]
        code = _code(body[at + 1 : at + 1 + width], width, 16)
        return (bytes([code]) if letter == "x" else _utf8(code)), at + 1 + width
    if letter and letter in "01234567":
        code = _code(body[at : at + 3], 3, 8)
        if code > 255:
            raise ValueError("invalid syntax")
        return bytes([code]), at + 3
    raise ValueError("invalid syntax")


def _code(digits: str, width: int, base: int) -> int:
    if len(digits) != width or not digits.isalnum():
        raise ValueError("invalid syntax")
    try:
        return int(digits, base)
    except ValueError:
        raise ValueError("invalid syntax") from None


def _utf8(code: int) -> bytes:
    if code > 0x10FFFF:
        raise ValueError("invalid syntax")
    return b"\xef\xbf\xbd" if 0xD800 <= code < 0xE000 else chr(code).encode()


def parse_number(text: str) -> float:
    """A number literal: decimal, hexadecimal, octal with a leading 0, exponents, `_` between digits, Inf, NaN.

    Raises ValueError with strconv's sentence. Source: prometheus/promql/parser, number.
    """
    whole = _parse_whole(text)
    if whole is not None and -(1 << 63) <= whole < 1 << 63:
        return float(whole)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None
    if math.isinf(value) and text.lstrip("+-").lower() not in ("inf", "infinity"):
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def _parse_whole(text: str) -> int | None:
    try:
        if text.startswith("0") and len(text) > 1 and text[1] not in "xXbBoO":
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        return None


def format_f(value: float) -> str:
    """Shortest digits that read back equal, never an exponent: strconv.FormatFloat(value, 'f', -1, 64)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def format_g(value: float) -> str:
    """The shortest form, with an exponent below 1e-4 and from 1e6 on: what Go's `%g` prints."""
    if math.isnan(value) or math.isinf(value):
        return format_f(value)
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    digits = Decimal(repr(value)).normalize()
    exponent = digits.adjusted()
    if -4 <= exponent < 6:
        return format_f(value)
    sign, figures, _ = digits.as_tuple()
    mantissa = str(figures[0]) + ("." + "".join(map(str, figures[1:])) if len(figures) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent):02d}"


def rune(char: str) -> str:
    """A character as Go's `%q` prints a rune: `'x'`."""
    return quote(char, "'")
