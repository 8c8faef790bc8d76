"""Series as promtool's unit tests write them: `up{job="a"}` and `1+2x3 _ stale`.

    1 2.5 NaN     values, one for each interval
    _ _x3         gaps
    stale         a stale marker
    4x3           4 and three times 4 more
    1+2x3         1 3 5 7        1-2x3         1 -1 -3 -5

`0x3` is 0 and three times 0 more: hexadecimal numbers do not exist here.
Source: prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from exporter.model import STALE_NAN_BITS, Labels, MatchType, make_labels
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse_selector

STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_NAN_BITS))[0]
MOST_VALUES = 10_000_000
_DIGITS = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBER = rf"[+-]?(?:{_DIGITS}|[Ii]nf|[Nn]a[Nn])"
_REPEATED = re.compile(
    rf"(?:(?P<first>{_NUMBER})(?P<step>[+-]{_DIGITS})|(?P<same>[+-]?{_DIGITS}))x(?P<times>\d+)", re.A
)
_PLAIN = re.compile(_NUMBER, re.A)


def parse_labels(text: str) -> Labels:
    """The label set that a series' name and matchers write. Raises ValueError."""
    try:
        matchers = parse_selector(text)
    except ParseError as err:
        raise ValueError(f"series {text!r}: {err}") from None
    if any(matcher.type is not MatchType.EQUAL for matcher in matchers):
        raise ValueError(f'series {text!r}: only name="value" makes a label set')
    if not matchers:
        raise ValueError(f"series {text!r}: no name and no label")
    names = [matcher.name for matcher in matchers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"series {text!r}: label name {twice[0]} is not unique")
    return make_labels({matcher.name: matcher.value for matcher in matchers})


def parse_values(text: str) -> Iterator[float | None]:
    """The values, None for a gap, STALE for a marker. Raises ValueError."""
    if "\n" in text.strip():
        raise ValueError(f"values {text!r}: must be on one line")
    if "{{" in text:
        raise ValueError(f"values {text!r}: native histograms are not supported")
    count = 0
    for word in text.split():
        for value in _word(word, text):
            count += 1
            if count > MOST_VALUES:
                raise ValueError(f"values {text!r}: more than {MOST_VALUES}")
            yield value


def _word(word: str, text: str) -> Iterator[float | None]:
    if word == "stale":
        yield STALE
    elif word == "_" or re.fullmatch(r"_x\d+", word, re.A):
        yield from (None for _ in range(int(word[2:] or 1)))
    elif _PLAIN.fullmatch(word):
        yield float(word)
    elif match := _REPEATED.fullmatch(word):
        value, step = float(match["first"] or match["same"]), float(match["step"] or "0")
        for _ in range(int(match["times"]) + 1):
            yield value
            value += step
    else:
        raise ValueError(f"values {text!r}: {word!r} is not a value")
