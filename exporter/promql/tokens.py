"""The kinds of token there are, and how a message names a token."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from exporter.promql.gotext import quote


class Kind(Enum):
    """What the lexer can see."""

    EOF = auto()
    IDENTIFIER = auto()
    METRIC_IDENTIFIER = auto()
    NUMBER = auto()
    DURATION = auto()
    STRING = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    LEFT_BRACE = auto()
    RIGHT_BRACE = auto()
    LEFT_BRACKET = auto()
    RIGHT_BRACKET = auto()
    COMMA = auto()
    COLON = auto()
    EQL = auto()
    OPERATOR = auto()
    AGGREGATOR = auto()
    KEYWORD = auto()
    PREPROCESSOR = auto()


class Token(NamedTuple):
    """A piece of the query; `start` counts characters."""

    kind: Kind
    start: int
    text: str

    @property
    def end(self) -> int:
        """Just past its last character."""
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """Keywords are the same in any case."""
        return self.text.lower()

    def describe(self) -> str:
        """The token as an `unexpected …` message names it. Source: prometheus/promql/parser/lex.go, Item.desc."""
        if self.kind is Kind.EOF:
            return "end of input"
        if self.kind in _FORMS:
            return _FORMS[self.kind].format(self.text)
        shown = quote(self.text[:10]) + "..." if len(self.text) > 10 else quote(self.text)
        if self.kind in _NOUNS:
            return f"{_NOUNS[self.kind]} {quote(self.text) if self.kind in _NAMES else shown}"
        return shown


_FORMS = {Kind.KEYWORD: "<{}>", Kind.OPERATOR: "<op:{}>", Kind.AGGREGATOR: "<aggr:{}>"}
_NAMES = (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER)
_NOUNS = {
    Kind.IDENTIFIER: "identifier",
    Kind.METRIC_IDENTIFIER: "metric identifier",
    Kind.STRING: "string",
    Kind.NUMBER: "number",
    Kind.DURATION: "duration",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


AGGREGATORS = _words("""
    sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio
""")
WORD_OPERATORS = frozenset(("and", "or", "unless", "atan2"))
KEYWORDS = _words("""
    offset smoothed anchored by without on ignoring group_left group_right fill fill_left fill_right bool
""")
FILL_KEYWORDS = frozenset(("fill", "fill_left", "fill_right"))
PREPROCESSORS = _words("""
    start end step range max_of min_of
""")

WORDS = (
    dict.fromkeys(AGGREGATORS, Kind.AGGREGATOR)
    | dict.fromkeys(WORD_OPERATORS, Kind.OPERATOR)
    | dict.fromkeys(KEYWORDS, Kind.KEYWORD)
    | dict.fromkeys(PREPROCESSORS, Kind.PREPROCESSOR)
    | {"inf": Kind.NUMBER, "nan": Kind.NUMBER}
)

# Words that may also be the name of a metric, and of a label in by(), on() and the like.
METRIC_WORDS = (
    AGGREGATORS
    | FILL_KEYWORDS
    | PREPROCESSORS
    | {"and", "or", "unless", "by", "without", "offset", "anchored", "smoothed"}
)
LABEL_WORDS = (AGGREGATORS | KEYWORDS | WORD_OPERATORS | PREPROCESSORS) - {"without"}
