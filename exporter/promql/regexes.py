"""Regexes as Prometheus accepts them, with Go's words about those it does not."""

from __future__ import annotations

import re

from exporter.model import compile_regex
from exporter.promql.errors import ParseError

# RE2's C++ messages, and Go's regexp/syntax for the same mistakes.
_GO_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
    "pattern too large - compile failed": "expression too large",
}
_REASON = re.compile(r"error parsing regexp: (?P<reason>[^:]*)(?:: (?P<part>.*))?", re.DOTALL)


def check_regex(pattern: str, start: int, query: str) -> None:
    """Raises ParseError at `start` unless the pattern compiles."""
    try:
        compile_regex(pattern)
    except ValueError as err:
        raise ParseError(_as_go_says(str(err), pattern), start, query) from None


def _as_go_says(message: str, pattern: str) -> str:
    match = _REASON.fullmatch(message)
    if match is None:
        return message
    reason = match["reason"]
    part = pattern if reason in ("missing )",) else (match["part"] or "")
    if reason.startswith("trailing"):
        part = ""
    return f"error parsing regexp: {_GO_WORDS.get(reason, reason)}: `{part}`"
