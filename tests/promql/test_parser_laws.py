"""What holds of the parser for every text."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import promql_parser
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.promql.errors import ParseError
from exporter.promql.parser import MAX_LENGTH, parse, parse_selector
from exporter.promql.stream import MAX_DEPTH
from tests.promql.expressions import vectors

_TOKENS = """
    up rate sum by on ( ) { } [ ] , : + - * / ^ == =~ != ! = @ offset 5m 1 0x 1e .5 'a' " ` # \\n bool and or
    group_left start() end step start_ é \\ 5m: __name__ inf nan < > % </ without _ ~ ;
"""
_PIECES = st.sampled_from([*_TOKENS.split(), "\n"])


@given(vectors)
def test_what_is_printed_parses_to_what_prints_the_same(text: str) -> None:
    printed = str(parse(text))
    assert str(parse(printed)) == printed


@given(vectors)
def test_another_parser_reads_the_printed_text_as_the_written_one(text: str) -> None:
    written, printed = promql_parser.parse(text), promql_parser.parse(str(parse(text)))
    assert _plain(str(written)) == _plain(str(printed))


def _plain(text: str) -> str:
    """Without what the other parser prints as it was written: the order of matchers, empty clauses, blanks."""
    return "".join(sorted(text.replace(" ", "").replace("by()", "").replace("ignoring()", "")))


@given(
    st.text(max_size=60) | st.lists(_PIECES, max_size=25).map("".join) | st.lists(_PIECES, max_size=25).map(" ".join)
)
@settings(max_examples=400)
def test_any_text_is_an_expression_or_a_parse_error(text: str) -> None:
    for read in (parse, parse_selector):
        try:
            read(text)
        except ParseError as err:
            assert ": parse error: " in str(err)
            assert 0 <= err.start <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "(" * 10_000 + "1" + ")" * 10_000,
        "-" * 10_000 + "1",
        "sum(" * 10_000,
        "abs(" * 5_000 + "up" + ")" * 5_000,
        "up^" * 10_000 + "up",
        "up + (" * 5_000,
        "up" + "[5m:1m]" * 5_000,
        "up[" + "(" * 5_000,
        "up{" * 10_000,
        "1 + " * 40_000,
        "x" * 200_000,
        "'" + "a" * 200_000,
        '{a=~"' + "(" * 50_000 + '"}',
        '{a=~"(a*)*(a*)*' * 3_000,
        "#" * 200_000,
    ],
    ids=lambda text: text[:20],
)
def test_a_monstrous_text_is_refused_at_once(text: str) -> None:
    before = time.perf_counter()
    with pytest.raises(ParseError):
        parse(text)
    assert time.perf_counter() - before < 2


def test_nesting_up_to_the_limit_is_fine() -> None:
    depth = MAX_DEPTH - 1
    for opening in ("(", "abs(", "sum("):
        text = opening * depth + "up" + ")" * depth
        assert str(parse(text)).replace(" ", "") == text


def test_a_long_chain_is_no_nesting() -> None:
    text = " + ".join(["up"] * 5_000)
    assert len(text) < MAX_LENGTH
    assert str(parse(text)) == text


def test_public_rules_parse_and_print_as_the_other_parser_has_them(shared: Path) -> None:
    expressions = _rule_expressions(shared / "rules-corpus")
    assert len(expressions) > 200
    for text in expressions:
        printed = str(parse(text))
        assert _plain(str(promql_parser.parse(text))) == _plain(str(promql_parser.parse(printed)))


def _rule_expressions(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        groups = (document.get("spec") or document)["groups"]
        found += [str(rule["expr"]) for group in groups for rule in group["rules"]]
    return found


def test_the_parser_does_without_numpy() -> None:
    program = "import sys, exporter.promql.parser, exporter.promql.ast; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("sum(up)by(job)", "sum by (job) (up)"),
        ("sum without() (up)", "sum without () (up)"),
        ("sum by () (up)", "sum(up)"),
        ("up{b='x',a=~`\\d`}", 'up{a=~"\\\\d",b="x"}'),
        ('{"http.status", "a b"!="c"}', '{"a b"!="c",__name__="http.status"}'),
        ("up[300]", "up[5m]"),
        ("up offset 90", "up offset 1m30s"),
        ("up offset -1h @ 1.5", "up @ 1.500 offset -1h"),
        ("up[1h:] @ end()", "up[1h:] @ end()"),
        ("1e3 + 0x10 + 1h + 017", "1000 + 16 + 1h + 15"),
        ("-1^2", "-1 ^ 2"),
        ("a == BOOL ON(x) GROUP_LEFT(y) b", "a == bool on (x) group_left (y) b"),
        ("a * ignoring() group_right b", "a * ignoring () group_right () b"),
        ("sum by ('a.b', c) (x)", 'sum by ("a.b", c) (x)'),
        ("((up))", "((up))"),
        ("inf + NaN - +Inf", "+Inf + NaN - +Inf"),
        ("'a\\n\\x41é'", '"a\\nAé"'),
        ("start + end + step", "start + end + step"),
    ],
)
def test_the_canonical_text(written: str, printed: str) -> None:
    assert str(parse(written)) == printed
