"""Between rules and their languages: PromQL and Go templates checked when a file is read, templates rendered later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

from alerter.datasource.querier import Query, QueryError
from alerter.decisions.evaluation import Element, Expand
from alerter.rules.rulefile import Language
from alerter.rules.rules import AlertRule
from alerter.template.errors import TemplateError
from alerter.template.template import Template
from alerter.template.template import parse as parse_template
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse as parse_promql


def template_name(alert: str) -> str:
    """How Prometheus names the templates of an alert."""
    return f"__alert_{alert}"


def _expression(text: str) -> None:
    try:
        parse_promql(text)
    except ParseError as err:
        raise ValueError(str(err)) from None


def _template(alert: str, text: str) -> None:
    try:
        parse_template(text, template_name(alert))
    except TemplateError as err:
        raise ValueError(str(err)) from None


LANGUAGE = Language(_expression, _template)
"""What rule files are checked against."""


def canonical(expr: str) -> str:
    """An expression as Prometheus prints it; as it was written, where it cannot be parsed."""
    try:
        return str(parse_promql(expr))
    except ParseError:
        return expr


def graph_link(base: str, expr: str) -> str:
    """Where an expression is shown as a table. Source: prometheus/util/strutil, TableLinkForExpression."""
    return f"{base}/graph?g0.expr={quote_plus(canonical(expr))}&g0.tab=1"


class RuleTemplates:
    """Renders the labels and annotations of rules; their `query` function asks the same datasource.

    `query` runs on the loop that is running when `bind` is called; rendering that asks must run on another thread.
    """

    def __init__(
        self,
        query: Query,
        *,
        external_labels: Mapping[str, str],
        external_url: str,
        timeout_s: float,
        loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.get_running_loop,
    ) -> None:
        self._query = query
        self._external_labels = external_labels
        self._external_url = external_url
        self._timeout_s = timeout_s
        self._loop = loop
        self._parsed: dict[tuple[str, str], Template] = {}

    def forget(self) -> None:
        """Let go of what earlier rule files needed."""
        self._parsed = {}

    def asks(self, rule: AlertRule) -> bool:
        """Whether a text of the rule may call `query`."""
        return any("query" in text for _, text in (*rule.labels, *rule.annotations))

    def expander(self, rule: AlertRule, t: float) -> Expand:
        """Renders this rule's texts as of `t`."""
        loop = self._loop() if self.asks(rule) else None

        def ask(expr: str) -> list[tuple[Mapping[str, str], float]]:
            if loop is None:
                raise QueryError("query is not available here")
            elements = asyncio.run_coroutine_threadsafe(self._query(expr, t), loop).result(self._timeout_s)
            return [(dict(element.labels), element.value) for element in elements]

        def expand(text: str, element: Element) -> str:
            if "{{" not in text:
                return text
            return self._template(rule.name, text).expand(
                dict(element.labels),
                element.value,
                external_labels=self._external_labels,
                external_url=self._external_url,
                query=ask,
                now_s=t,
            )

        return expand

    def _template(self, alert: str, text: str) -> Template:
        found = self._parsed.get((alert, text))
        if found is None:
            found = self._parsed[alert, text] = parse_template(text, template_name(alert))
        return found
