"""`name{label="value", …}`."""

from __future__ import annotations

from exporter.model import METRIC_NAME, Matcher, MatchType
from exporter.promql.ast import Span, VectorSelector
from exporter.promql.literals import string
from exporter.promql.regexes import check_regex
from exporter.promql.stream import Stream
from exporter.promql.tokens import METRIC_WORDS, Kind, Token

_MATCH_TYPES = {"=": MatchType.EQUAL, "!=": MatchType.NOT_EQUAL, "=~": MatchType.REGEX, "!~": MatchType.NOT_REGEX}
_WORD_KINDS = (Kind.AGGREGATOR, Kind.OPERATOR, Kind.KEYWORD, Kind.PREPROCESSOR)


def names_metric(token: Token) -> bool:
    """Whether a metric may be called like this: many keywords may serve as names."""
    if token.kind in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER):
        return True
    return token.kind in _WORD_KINDS and token.word in METRIC_WORDS


def selector(stream: Stream, name: Token | None) -> VectorSelector:
    """A selector whose name, if it has one outside the braces, has been taken."""
    start = name.start if name is not None else stream.peek().start
    matchers = _matchers(stream) if stream.at(Kind.LEFT_BRACE) else []
    if name is not None:
        matchers.append(Matcher(MatchType.EQUAL, METRIC_NAME, name.text))
    return VectorSelector(name.text if name else "", tuple(matchers), span=Span(start, stream.end))


def _matchers(stream: Stream) -> list[Matcher]:
    stream.take()
    matchers: list[Matcher] = []
    while not stream.at(Kind.RIGHT_BRACE):
        matchers.append(_matcher(stream))
        if stream.at(Kind.COMMA):
            stream.take()
        elif not stream.at(Kind.RIGHT_BRACE):
            raise stream.unexpected("label matching", '"," or "}"')
    stream.take()
    return matchers


def _matcher(stream: Stream) -> Matcher:
    name = stream.peek()
    if name.kind not in (Kind.IDENTIFIER, Kind.STRING):
        raise stream.unexpected("label matching", 'identifier or "}"')
    is_quoted = name.kind is Kind.STRING
    label = string(stream) if is_quoted else stream.take().text
    op = stream.peek()
    if op.kind is Kind.EQL or op.text in _MATCH_TYPES:
        return _comparison(stream, name, label)
    if is_quoted and op.kind in (Kind.COMMA, Kind.RIGHT_BRACE):
        return Matcher(MatchType.EQUAL, METRIC_NAME, label)
    raise stream.unexpected("label matching", '"," or "}"' if is_quoted else "label matching operator")


def _comparison(stream: Stream, name: Token, label: str) -> Matcher:
    match_type = _MATCH_TYPES[stream.take().text]
    if not stream.at(Kind.STRING):
        raise stream.unexpected("label matching", "string")
    value = string(stream)
    if match_type in (MatchType.REGEX, MatchType.NOT_REGEX):
        check_regex(value, name.start, stream.query)
    return Matcher(match_type, label, value)
