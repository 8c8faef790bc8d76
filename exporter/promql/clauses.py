"""What stands beside an operator: `by (…)`, `on (…) group_left (…)`, `fill (…)`."""

from __future__ import annotations

from exporter.promql.ast import Card, Matching
from exporter.promql.gotext import quote
from exporter.promql.literals import is_utf8, string
from exporter.promql.stream import Stream
from exporter.promql.tokens import LABEL_WORDS, Kind


def grouping(stream: Stream) -> tuple[str, ...]:
    """`(a, b)`"""
    if not stream.at(Kind.LEFT_PAREN):
        raise stream.unexpected("grouping opts", '"("')
    stream.take()
    names: list[str] = []
    while not stream.at(Kind.RIGHT_PAREN):
        names.append(_label(stream))
        if stream.at(Kind.COMMA):
            stream.take()
        elif not stream.at(Kind.RIGHT_PAREN):
            raise stream.unexpected("grouping opts", '"," or ")"')
    stream.take()
    return tuple(names)


def _label(stream: Stream) -> str:
    token = stream.peek()
    is_word = token.kind in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER)
    if token.kind is Kind.STRING:
        name = string(stream)
    elif is_word or (token.kind is not Kind.NUMBER and token.word in LABEL_WORDS):
        name = stream.take().text
    else:
        raise stream.unexpected("grouping opts", "label")
    if not name or not is_utf8(name):
        raise stream.error(f"invalid label name for grouping: {quote(name)}", token.start)
    return name


def by_or_without(stream: Stream) -> tuple[bool, tuple[str, ...]] | None:
    """`by (…)` or `without (…)`, if it is next: whether it is without, and the names."""
    if not stream.at(Kind.KEYWORD, "by", "without"):
        return None
    return stream.take().word == "without", grouping(stream)


def matching(stream: Stream) -> Matching:
    """`on (…)` or `ignoring (…)`, perhaps with `group_left (…)` or `group_right (…)`; or nothing."""
    if not stream.at(Kind.KEYWORD, "on", "ignoring"):
        return Matching()
    on = stream.take().word == "on"
    labels = grouping(stream)
    if not stream.at(Kind.KEYWORD, "group_left", "group_right"):
        return Matching(Card.ONE_TO_ONE, labels, on)
    card = Card.MANY_TO_ONE if stream.take().word == "group_left" else Card.ONE_TO_MANY
    include = grouping(stream) if stream.at(Kind.LEFT_PAREN) else ()
    return Matching(card, labels, on, include)


def fill(stream: Stream) -> bool:
    """Whether there were any of the experimental `fill (…)`, `fill_left (…)`, `fill_right (…)`."""
    found = False
    while stream.at(Kind.KEYWORD, "fill", "fill_left", "fill_right"):
        found = True
        stream.take()
        stream.expect(Kind.LEFT_PAREN)
        if stream.at(Kind.OPERATOR, "+", "-"):
            stream.take()
        if not (stream.at(Kind.NUMBER) or stream.at(Kind.DURATION)):
            raise stream.unexpected()
        stream.take()
        stream.expect(Kind.RIGHT_PAREN)
    return found
