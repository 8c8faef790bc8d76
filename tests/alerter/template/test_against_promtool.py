"""Texts and complaints equal Prometheus' own, over a broad table of templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerter.template.errors import TemplateError
from alerter.template.template import parse
from tests.alerter.template import promtool, tables
from tests.alerter.template.random_templates import Templates, soup

ADDRESS = re.compile("(0x)?c0[0-9a-f]{8}")
"""Pointers within lists print as addresses, which differ from run to run."""
LABELS, VALUE = promtool.SERIES["cpu > 80"][0]


def expanded(text: str) -> str:
    return parse(text, "__alert_T").expand(
        LABELS,
        VALUE,
        external_labels=promtool.EXTERNAL_LABELS,
        external_url=promtool.EXTERNAL_URL,
        query=lambda expression: promtool.SERIES[expression],
    )


def complaint(text: str) -> str:
    try:
        parse(text, "__alert_T")
    except TemplateError as err:
        return str(err)
    return ""


def test_every_text_renders_as_prometheus_renders_it(tmp_path: Path) -> None:
    texts = [*tables.grids(), *tables.singles()]
    wanted = promtool.rendered(texts, tmp_path)
    answers = [(text, expanded(text), want) for text, want in zip(texts, wanted, strict=True)]
    assert [answer for answer in answers if answer[1] != answer[2]] == []
    assert len(texts) > 800


@pytest.mark.parametrize("value", ["NaN", "Inf", "-Inf", "-0.5", "1e300", "123456.789", "5e-324", "8589934592"])
def test_every_kind_of_value_renders_as_prometheus_renders_it(tmp_path: Path, value: str) -> None:
    texts = tables.of_a_value()
    labels = {"__name__": "one", "server": "web-01"}
    got = [parse(text, "__alert_T").expand(labels, float(value)) for text in texts]
    assert dict(zip(texts, got, strict=True)) == dict(
        zip(texts, promtool.rendered(texts, tmp_path, value), strict=True)
    )


def test_random_templates_render_as_prometheus_renders_them(tmp_path: Path) -> None:
    supply = Templates(seed=20)
    texts = [text for text in (supply.template() for _ in range(3_000)) if not complaint(text)]
    answers = zip(texts, map(expanded, texts), promtool.rendered(texts, tmp_path), strict=True)
    different = [answer for answer in answers if answer[1] != answer[2]]
    assert [answer for answer in different if not ADDRESS.search(answer[2])] == []
    assert len(texts) > 2_000


def test_a_soup_of_pieces_is_refused_as_prometheus_refuses_it(tmp_path: Path) -> None:
    drawn = [text for text in map(soup, range(3_000)) if "else with" not in text]  # which 2.42 does not know
    texts = [text for text in drawn if text.strip()]
    answers = zip(texts, map(complaint, texts), promtool.parse_errors(texts, tmp_path), strict=True)
    assert [answer for answer in answers if answer[1] != answer[2]] == []
    assert len(texts) > 2_500


def test_every_refusal_is_worded_as_prometheus_words_it(tmp_path: Path) -> None:
    texts = tables.refused()
    wanted = promtool.parse_errors(texts, tmp_path)
    answers = [(text, complaint(text), want) for text, want in zip(texts, wanted, strict=True)]
    assert [answer for answer in answers if answer[1] != answer[2]] == []
    assert sum(map(bool, wanted)) > 130
