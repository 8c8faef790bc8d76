"""Numbers, durations and strings of a query."""

from __future__ import annotations

import re

from exporter.duration import parse_duration
from exporter.promql.ast import NumberLiteral, Span
from exporter.promql.gotext import parse_number, quote, unquote
from exporter.promql.stream import Stream
from exporter.promql.tokens import Kind, Token

_UNIT = re.compile("[0-9]+([a-z]+)")


def number(stream: Stream) -> NumberLiteral:
    """The number or duration that is next."""
    token = stream.take()
    span = Span(token.start, token.end)
    if token.kind is Kind.DURATION:
        return NumberLiteral(_duration_ms(stream, token) / 1000, True, span)
    try:
        return NumberLiteral(parse_number(token.text), False, span)
    except ValueError as err:
        raise stream.error(f"error parsing number: {err}", token.start) from None


def string(stream: Stream) -> str:
    """The string that is next."""
    token = stream.take()
    try:
        return unquote(token.text)
    except ValueError as err:
        raise stream.error(f"error unquoting string {quote(token.text)}: {err}", token.start) from None


def is_utf8(text: str) -> bool:
    """Whether the text can be encoded: escapes may write bytes that are none."""
    return not any(0xD800 <= ord(char) < 0xE000 for char in text)


def _duration_ms(stream: Stream, token: Token) -> int:
    try:
        return parse_duration(token.text)
    except ValueError as err:
        raise stream.error(_unknown_unit(token.text) or str(err), token.start) from None


def _unknown_unit(text: str) -> str | None:
    """prometheus/common's complaint about units such as `hs`, which `exporter.duration` does not single out."""
    for unit in _UNIT.findall(text):
        if unit not in ("ms", "s", "m", "h", "d", "w", "y"):
            return f"unknown unit {quote(unit)} in duration {quote(text)}"
    return None
