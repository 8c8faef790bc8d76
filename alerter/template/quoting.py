"""Go's quoted strings, both ways. Source: Go strconv, quote.go.

A Go string is bytes. Here it is a `str`, in which a byte that is not UTF-8 is one surrogate
(Python's `surrogateescape`), so that slicing a character in half loses nothing.
"""

from __future__ import annotations

import re

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_NAMES = {char: f"\\{name}" for name, char in _ESCAPES.items()}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))", re.ASCII
)


def to_bytes(text: str) -> bytes:
    """The bytes of a Go string."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(raw: bytes) -> str:
    """The Go string of these bytes."""
    return raw.decode("utf-8", "surrogateescape")


def is_print(char: str) -> bool:
    """Whether Go prints the character as it is: letters, marks, numbers, symbols, ASCII space."""
    return char == " " or (char.isprintable() and not char.isspace())


def quote(text: str, delimiter: str = '"', *, ascii_only: bool = False) -> str:
    """The text as a Go literal, as `%q` (and `%+q` with `ascii_only`) writes it."""
    return delimiter + "".join(_escaped(char, delimiter, ascii_only) for char in text) + delimiter


def _escaped(char: str, delimiter: str, ascii_only: bool) -> str:
    if char in (delimiter, "\\"):
        return f"\\{char}"
    code = ord(char)
    if is_print(char) and not (ascii_only and code >= 0x7F):
        return char
    if char in _NAMES:
        return _NAMES[char]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str | None:
    """The text of a Go string literal ("…" or `…`), None if the syntax is invalid."""
    if literal[0] == "`":
        return literal[1:-1].replace("\r", "")
    return _unescaped(literal[1:-1], '"')


def unquote_char(literal: str) -> str | None:
    """What a Go character literal holds: one character if it is well-formed. None if the syntax is invalid."""
    return _unescaped(literal[1:-1], "'") or None


def _unescaped(body: str, delimiter: str) -> str | None:
    parts: list[bytes] = []
    at = 0
    while (slash := body.find("\\", at)) >= 0:
        match = _ESCAPE.match(body, slash)
        value = _escape_value(match, delimiter) if match else None
        if match is None or value is None:
            return None
        parts += (to_bytes(body[at:slash]), value)
        at = match.end()
    return from_bytes(b"".join((*parts, to_bytes(body[at:])))) if parts else body


def _escape_value(match: re.Match[str], delimiter: str) -> bytes | None:
    name, hexadecimal, short, long, octal = match.groups()
    if name:
        return _ESCAPES[name].encode() if name in _ESCAPES else (name.encode() if name == delimiter else None)
    if hexadecimal or octal:
        code = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if code > 255:
            return None
        return chr(code).encode() if delimiter == "'" else bytes([code])
    code = int(short or long, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return None
    return chr(code).encode()


def unicode_point(char: str) -> str:
    """The character as `%#U` writes it: `U+0029 ')'`."""
    return f"U+{ord(char):04X} '{char}'" if is_print(char) else f"U+{ord(char):04X}"
