"""Alertmanager's matchers as text: `severity="critical"`, `server=~"web-.*"`, `env!=test`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from exporter.model import Matcher, MatchType, compile_regex

_MATCHER = re.compile(r'\s*(?P<name>[^\s=!~"{},]+|"(?:[^"\\]|\\.)+")\s*(?P<type>=~|!~|!=|=)\s*(?P<value>.*?)\s*', re.S)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse_matcher(text: str) -> Matcher:
    """One matcher. Raises ValueError saying what is wrong with it."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f"bad matcher format: {text}")
    return make_matcher(_unquoted(match["name"]), _unquoted(match["value"]), MatchType(match["type"]))


def make_matcher(name: str, value: str, kind: MatchType) -> Matcher:
    """A matcher whose regex, if it has one, compiles. Raises ValueError."""
    if kind in (MatchType.REGEX, MatchType.NOT_REGEX):
        compile_regex(value)
    return Matcher(kind, name, value)


def _unquoted(text: str) -> str:
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        if '"' in text:
            raise ValueError(f"matcher value contains unescaped double quote: {text}")
        return text
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1])


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether a label set satisfies every matcher."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
