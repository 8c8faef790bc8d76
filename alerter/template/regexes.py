"""Go's regexp package by way of RE2, the same syntax and matches. Source: Go regexp, regexp/syntax."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from alerter.template.errors import FunctionError
from alerter.template.printing import MAX_LENGTH, bounded
from alerter.template.quoting import quote

_GO_REASONS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The compiled pattern. Raises FunctionError with Go's reason."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as err:
        raise FunctionError(f"error parsing regexp: {_reason(err, pattern)}") from None


def _reason(err: Exception, pattern: str) -> str:
    raw = err.args[0] if err.args else b""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    reason, _, blamed = text.partition(": ")
    reason = _GO_REASONS.get(reason, reason)
    if reason in ("missing closing )", "unexpected )"):
        blamed = pattern
    return f"{reason}: `{blamed}`" if blamed else f"{reason}: ``"


def matches(pattern: str, text: str) -> bool:
    """match: whether the pattern is found anywhere in the text."""
    return compiled(pattern).search(text) is not None


def replace_all(pattern: str, replacement: str, text: str) -> str:
    """reReplaceAll: every match replaced; `$1`, `${1}` and `$name` are its groups, `$$` a dollar."""
    try:
        regex = compiled(pattern)
    except FunctionError as err:
        raise FunctionError(f"regexp: Compile({_shown(pattern)}): {err}") from None
    parts: list[str] = []
    copied = size = 0
    for match in regex.finditer(text):
        start, end = match.span()
        if start == end == copied and parts:  # an empty match right after another one does not count
            continue
        parts += (text[copied:start], _expanded(replacement, match))
        size += len(parts[-1])
        if size > MAX_LENGTH:
            raise FunctionError(f"text of more than {MAX_LENGTH} characters")
        copied = end
    return bounded("".join((*parts, text[copied:])))


def _shown(pattern: str) -> str:
    return f"`{pattern}`" if "`" not in pattern and pattern.isprintable() else quote(pattern)


def _expanded(replacement: str, match: Any) -> str:
    if "$" not in replacement:
        return replacement
    return _REFERENCE.sub(lambda reference: _group(reference, match), replacement)


def _group(reference: re.Match[str], match: Any) -> str:
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    if name.isascii() and name.isdigit():
        return (match.group(int(name)) or "") if int(name) <= match.re.groups else ""
    return (match.group(name) or "") if name in match.re.groupindex else ""
