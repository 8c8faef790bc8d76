"""Number literals. Source: Go text/template/parse, node.go, newNumber; Go strconv, ParseInt, ParseFloat."""

from __future__ import annotations

import math
import re

from alerter.template import nodes
from alerter.template.quoting import quote

_INTEGER = re.compile(
    r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[bB]((?:_?[01])+)|0[oO]?((?:_?[0-7])+)|(0|[1-9](?:_?[0-9])*))"
)
_BASES = (16, 2, 8, 10)
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_LONE_UNDERSCORE = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")
_DECIMAL_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD_FLOAT = re.compile(r"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)
_MIN, _MAX, _MAX_UNSIGNED = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


def number(at: int, text: str) -> nodes.Number | str:
    """The literal as a node, or what is wrong with it."""
    integer = _integer(text)
    if integer is not None:
        if not _MIN <= integer <= _MAX_UNSIGNED:
            return f"integer overflow: {quote(text)}"
        return nodes.Number(at, text, integer, float(integer), _is_float_text(text))
    floating = parse_float(text)
    if floating is None or not math.isfinite(floating):
        return f"illegal number syntax: {quote(text)}"
    if not any(char in text for char in ".eEpP"):
        return f"integer overflow: {quote(text)}"
    whole = floating.is_integer() and _MIN <= floating <= _MAX
    return nodes.Number(at, text, int(floating) if whole else None, floating, _is_float_text(text))


def _is_float_text(text: str) -> bool:
    is_hex_integer = text[:2] in ("0x", "0X") and not any(char in text for char in "pP")
    return not is_hex_integer and any(char in text for char in ".eEpP")


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *digits = match.groups()
    value = next(int(run.replace("_", ""), base) for run, base in zip(digits, _BASES, strict=True) if run)
    return -value if sign == "-" else value


def parse_float(text: str) -> float | None:
    """A float as strconv.ParseFloat reads it, None if it does not. Too large is an infinity."""
    if "_" in text:
        if _LONE_UNDERSCORE.search(text):
            return None
        text = text.replace("_", "")
    if _DECIMAL_FLOAT.fullmatch(text) or _WORD_FLOAT.fullmatch(text):
        return float(text)
    if _HEX_FLOAT.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return -math.inf if text.startswith("-") else math.inf
    return None
