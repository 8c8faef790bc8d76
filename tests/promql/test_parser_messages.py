"""What the parser says about texts that are no expressions: Prometheus' own words and places."""

from __future__ import annotations

import pytest

from exporter.promql.errors import ParseError
from exporter.promql.parser import parse, parse_selector

LENGTHS = "number, duration, step(), or range()"
ONLY_SELECTORS = "must be preceded by an instant vector selector or range vector selector or a subquery"

MESSAGES = [
    ("", "unknown position: parse error: no expression found in input"),
    ("# nothing\n", "1:1: parse error: no expression found in input"),
    ("up{", "1:4: parse error: unexpected end of input inside braces"),
    ("up{job", "1:7: parse error: unexpected end of input inside braces"),
    ("up{job=api}", '1:8: parse error: unexpected identifier "api" in label matching, expected string'),
    ("up{job}", '1:7: parse error: unexpected "}" in label matching, expected label matching operator'),
    ('up{job="a" env="b"}', '1:12: parse error: unexpected identifier "env" in label matching, expected "," or "}"'),
    ("up{,}", '1:4: parse error: unexpected "," in label matching, expected identifier or "}"'),
    ("up{4}", "1:4: parse error: unexpected character inside braces: '4'"),
    ("up{a!b}", "1:5: parse error: unexpected character after '!' inside braces: 'b'"),
    ("up{a{", "1:5: parse error: unexpected left brace '{'"),
    ("up}", "1:3: parse error: unexpected character: '}'"),
    ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ('{job=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ('up{__name__="down"}', '1:1: parse error: metric name must not be set twice: "up" or "down"'),
    ('up{job=~"("}', "1:4: parse error: error parsing regexp: missing closing ): `(`"),
    ('up{job=~"a**"}', "1:4: parse error: error parsing regexp: invalid nested repetition operator: `**`"),
    ('up{job=~"[b-a]"}', "1:4: parse error: error parsing regexp: invalid character class range: `b-a`"),
    ("1 +", "1:4: parse error: unexpected end of input"),
    ("* 1", "1:1: parse error: unexpected <op:*>"),
    ("1 2", '1:3: parse error: unexpected number "2"'),
    ("up up", '1:4: parse error: unexpected identifier "up"'),
    ("(up", "1:4: parse error: unclosed left parenthesis"),
    ("up)", "1:4: parse error: unexpected right parenthesis ')'"),
    ("up]", "1:3: parse error: unexpected right bracket ']'"),
    ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ("up + bool up", "1:4: parse error: bool modifier can only be used on comparison operators"),
    ("1 and up", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
    ("up and on(a) group_left up", '1:1: parse error: no grouping allowed for "and" operation'),
    ("up + on(a) group_left(a) up", '1:4: parse error: label "a" must not occur in ON and GROUP clause at once'),
    ("up + on(a) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
    ('up + "a"', "1:6: parse error: binary expression must contain only scalar and instant vector types"),
    ("up + group_left up", "1:6: parse error: unexpected <group_left>"),
    ("up + on a up", '1:9: parse error: unexpected identifier "a" in grouping opts, expected "("'),
    ("sum by (==) (up)", "1:9: parse error: unexpected <op:==> in grouping opts, expected label"),
    ("sum by (a b) (up)", '1:11: parse error: unexpected identifier "b" in grouping opts, expected "," or ")"'),
    ("sum(up, up)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2"),
    ("topk(up)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"),
    ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
    ("sum(1 +)", '1:8: parse error: unexpected ")" in aggregation'),
    ("sum up", '1:5: parse error: unexpected identifier "up"'),
    ("sum(up[5m])", "1:5: parse error: expected type instant vector in aggregation expression, got range vector"),
    ("topk(up, up)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"),
    ("nope(up)", '1:1: parse error: unknown function with name "nope"'),
    ("rate(up)", '1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
    ("abs()", '1:1: parse error: expected 1 argument(s) in call to "abs", got 0'),
    ("round(up, 1, 2)", '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3'),
    ("label_join(up)", '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1'),
    ("abs(up,)", "1:7: parse error: trailing commas not allowed in function call args"),
    ("sort_by_label(up, 'a')", '1:1: parse error: function "sort_by_label" is not enabled'),
    (
        "limitk(1, up)",
        "1:1: parse error: limitk() is experimental and must be enabled with "
        "--enable-feature=promql-experimental-functions",
    ),
    ("up fill(0) up", "1:4: parse error: unexpected <fill>"),
    ("up + fill(0) up", "1:1: parse error: binop fill modifiers are experimental and not enabled"),
    ("up[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"),
    ("up[", "1:4: parse error: unexpected end of input in duration expression"),
    ("up[]", f'1:4: parse error: unexpected "]" in subquery or range selector, expected {LENGTHS}'),
    ("up[5m", "1:6: parse error: unclosed left bracket"),
    ("up[5m:", "1:7: parse error: unclosed left bracket"),
    ("up[0s]", "1:4: parse error: duration must be greater than 0"),
    ("up[5mm]", '1:4: parse error: bad number or duration syntax: "5mm"'),
    ("up[1m5h]", '1:4: parse error: not a valid duration string: "1m5h"'),
    ("up[5hs]", '1:4: parse error: unknown unit "hs" in duration "5hs"'),
    ('up["5m"]', "1:4: parse error: unexpected character in duration expression: '\"'"),
    ("1[5m]", "1:2: parse error: ranges only allowed for vector selectors"),
    ("up offset 5m [5m]", "1:14: parse error: no offset modifiers allowed before range"),
    ("up @ 1 [5m]", "1:8: parse error: no @ modifiers allowed before range"),
    ("up offset", f"1:10: parse error: unexpected end of input in offset, expected {LENGTHS}"),
    ("up offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
    ("1 offset 1m", f"1:1: parse error: offset modifier {ONLY_SELECTORS}"),
    ("up @", "1:5: parse error: unexpected end of input in @, expected timestamp"),
    ("up @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
    ("up @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
    ("1 @ 2", f"1:1: parse error: @ modifier {ONLY_SELECTORS}"),
    ("up[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
    (
        "-'a'",
        '1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "string"',
    ),
    ("'a", "1:1: parse error: unterminated quoted string"),
    ("`a", "1:1: parse error: unterminated raw string"),
    (r"'\q'", "1:1: parse error: unknown escape sequence U+0071 'q'"),
    (r"'\xg0'", "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
    ("0xgg", '1:1: parse error: bad number or duration syntax: "0x"'),
    ("1e999", '1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e999": value out of range'),
    ("up\n+ ?", "2:3: parse error: unexpected character: '?'"),
    ("'é' ?", "1:6: parse error: unexpected character: '?'"),
    ("up !~ 1", "1:4: parse error: unexpected character after '!': '~'"),
]


@pytest.mark.parametrize(("text", "message"), MESSAGES, ids=[text for text, _ in MESSAGES])
def test_the_message_and_its_place_are_those_of_prometheus(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["up + 1", "1", "sum(up)", "up offset 5m", "up[5m]", "(up)", "up{", ""])
def test_only_a_bare_selector_is_a_selector(text: str) -> None:
    with pytest.raises(ParseError):
        parse_selector(text)


def test_a_selector_gives_its_matchers_in_the_order_written_and_its_name_last() -> None:
    matchers = parse_selector("""up{job="a", env!~'b|c', "x.y"=`z`}""")
    shown = [(m.name, str(m.type), m.value) for m in matchers]
    assert shown == [("job", "=", "a"), ("env", "!~", "b|c"), ("x.y", "=", "z"), ("__name__", "=", "up")]
