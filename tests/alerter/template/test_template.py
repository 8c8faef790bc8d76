"""What the template language must hold whatever the text: bounds, positions, the public rules."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerter.template.errors import FunctionError, TemplateError
from alerter.template.floats import shortest
from alerter.template.numbers import parse_float
from alerter.template.printf import sprintf
from alerter.template.quoting import quote, unquote
from alerter.template.state import PREAMBLE
from alerter.template.template import parse


def render(text: str, value: float = 85.5, **labels: str) -> str:
    return parse(text, "__alert_T").render(labels, value)


def test_every_annotation_and_label_of_the_public_rules_renders(shared: Path) -> None:
    texts = [
        text
        for path in sorted((shared / "rules-corpus").glob("*.yaml"))
        for group in yaml.safe_load(path.read_text())["spec"]["groups"]
        for rule in group["rules"]
        for text in [*rule.get("annotations", {}).values(), *rule.get("labels", {}).values()]
        if "alert" in rule
    ]
    for text in texts:
        labels = {"instance": "a:1", "namespace": "n", "job": "j"}
        got = parse(str(text), "__alert_T").render(labels, 12.5, query=lambda _: [({"instance": "a"}, 1.0)])
        assert "{{" not in got
    assert len(texts) > 300


def _invokes_next(name: str) -> str:
    call = f'{{{{ template "{chr(ord(name) + 1)}" }}}}'
    return f'{{{{ define "{name}" }}}}{call * 4}{{{{ end }}}}'


DOUBLING = "".join(map(_invokes_next, "abcdefghijklmnopqrst")) + '{{ define "u" }}x{{ end }}{{ template "a" }}'
TOO_DEEP = ["{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "{{ if 1 }}" * 2000 + "{{ end }}" * 2000]


@pytest.mark.parametrize(
    "text",
    [
        '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
        '{{ define "a" }}{{ template "b" }}{{ end }}{{ define "b" }}x{{ template "a" }}{{ end }}{{ template "a" }}',
        '{{ $x := "0123456789" }}' + "{{ $x = print $x $x }}" * 30,
        '{{ $x := "aaaaaaaaaa" }}' + '{{ $x = reReplaceAll "a" "aaaaaaaaaa" $x }}' * 10,
        DOUBLING,
        "{{ range 1000000 }}x{{ end }}",
        "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}",
        '{{ printf "%1000000d%1000000d" 1 2 }}',
        "{{ range 100000 }}{{ $.Labels }}01234567890123456789{{ end }}",
    ],
)
def test_a_template_that_never_ends_fails_soon(text: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateError):
        render(text, server="web-01")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", TOO_DEEP)
def test_a_template_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="exceeded"):
        parse(text)


def test_the_deepest_template_that_parses_renders_too() -> None:
    assert render("{{ " + "(print " * 49 + "1" + ")" * 49 + " }}") == "1"
    assert render("{{ if 1 }}" * 50 + "x" + "{{ end }}" * 50) == "x"


def test_a_text_of_many_megabytes_is_refused() -> None:
    with pytest.raises(TemplateError, match="more than"):
        parse("x" * (1 << 20))


def test_a_label_of_a_megabyte_is_printed() -> None:
    assert len(render("{{ $labels.big }}", big="x" * 1_000_000)) == 1_000_000


def test_an_error_tells_the_place_in_the_text_that_was_given() -> None:
    with pytest.raises(TemplateError) as caught:
        render('{{ $value }}\n  {{ toUpper "한" }} {{ humanize "x" }}')
    assert (caught.value.line, caught.value.column) == (2, 23)
    with pytest.raises(TemplateError) as caught:
        render('ok {{ humanize "x" }}')
    assert (caught.value.line, caught.value.column) == (1, 6)
    assert f"__alert_T:1:{len(PREAMBLE) + 6}:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a {{ foo }}", (1, 5)),
        ("a\n  {{ humanize }} {{ $x }}", (2, 20)),
        ("{{ if true }}", (1, 13)),
        ("é {{ 'ab' }}", (1, 5)),
        ("\n\n{{ 1 | 2 }}", (3, 9)),
    ],
)
def test_a_refusal_tells_the_place_in_the_text_that_was_given(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == place


def test_an_error_while_rendering_becomes_the_text() -> None:
    text = parse("{{ .Nope }}", "__alert_T").expand({}, 1.0)
    assert text.startswith("<error expanding template: error executing template __alert_T: template: __alert_T:1:")


def test_a_query_that_fails_is_told_in_the_text() -> None:
    def query(expression: str) -> list[tuple[dict[str, str], float]]:
        raise ConnectionError(f"no route for {expression}")

    text = parse('{{ query "up" }}', "__alert_T").expand({}, 1.0, query=query)
    assert text.endswith('<query "up">: error calling query: no route for up>')


def test_the_functions_of_newer_versions_are_there() -> None:
    template = parse(
        '{{ now }} {{ toDuration 90.5 }} {{ urlQueryEscape "a b&c" }} {{ parseDuration "-1h" }} '
        "{{ range 3 }}{{ . }}{{ end }}"
    )
    assert template.render({}, 1.0, now_s=1435065584.128) == "1.435065584128e+09 1m30.5s a+b%26c -3600 012"


def test_the_outside_url_and_its_path_are_given() -> None:
    template = parse("{{ externalURL }} {{ pathPrefix }} {{ $externalURL }}")
    assert (
        template.render({}, 1.0, external_url="http://a.example:1/p") == "http://a.example:1/p /p http://a.example:1/p"
    )


@pytest.mark.parametrize("text", ["{{ len $labels.a }}", '{{ match "x" $labels.a }}', "{{ urlquery $labels.a }}"])
def test_a_label_that_is_no_unicode_is_an_error_of_the_template(text: str) -> None:
    with pytest.raises(TemplateError, match="cannot be computed"):
        render(text, a="\ud800")


def test_a_year_that_python_does_not_know_is_an_error_of_the_template() -> None:
    with pytest.raises(TemplateError, match="cannot be computed"):
        render("{{ (toTime 0).AddDate 99999 0 0 }}")


def test_a_whole_number_is_a_float_too() -> None:
    assert parse("{{ gt $value 80.0 }} {{ $value }}").render({}, 85) == "true 85"


def test_rendering_leaves_the_template_as_it_was() -> None:
    template = parse("{{ $x := $value }}{{ $x = print $x $labels.a }}{{ $x }}")
    assert [template.render({"a": a}, 1.0) for a in "bcb"] == ["1b", "1c", "1b"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_as_the_same_float(value: float) -> None:
    assert parse_float(shortest(value)) == value


@given(st.text())
def test_a_quoted_text_reads_back_as_the_same_text(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert unquote(quote(text)) == text


ARGUMENTS = st.one_of(st.integers(), st.floats(), st.text(), st.none())


@given(st.text(alphabet="%+-# 0123456789.*[]vdsqtfgxXcUT!é", max_size=20), st.lists(ARGUMENTS, max_size=4))
def test_no_format_and_no_arguments_break_printf(form: str, args: list[object]) -> None:
    try:
        assert isinstance(sprintf(form, args), str)
    except FunctionError as err:
        assert "more than" in str(err)


@given(st.text(alphabet="{}-/*\"`'$.|()=:, \n\tabxelsdifrngwth019%\\é", max_size=60))
def test_any_text_is_rendered_or_refused_with_a_reason(text: str) -> None:
    try:
        assert isinstance(render(text), str)
    except TemplateError as err:
        assert str(err).startswith("template: __alert_T:")
