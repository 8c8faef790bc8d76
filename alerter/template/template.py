"""Rule templates: parsed once, rendered for each alert.

template = parse("CPU usage is {{ $value }}%", "__alert_HighCPU")
template.render({"server": "web-01"}, 97.25)       # raises TemplateError
template.expand({"server": "web-01"}, 97.25)       # never raises: the error is the text, as in Prometheus
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from alerter.template.compiler import Body, compile_tree
from alerter.template.errors import FunctionError, TemplateError
from alerter.template.functions import FUNCTIONS, Context, Query
from alerter.template.parser import parse_tree
from alerter.template.state import State
from alerter.template.values import AlertData, StringMap

VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
"""The variables that a text starts with, in the order of their slots after `$`."""

MAX_TEXT = 1 << 18
"""No template is longer, in characters."""


def no_query(expression: str) -> list[tuple[Mapping[str, str], float]]:
    """The query function where there is nothing to ask."""
    raise FunctionError("no datasource to query")


class Template:
    """A parsed template, compiled when it is rendered first. Rendering changes nothing else; threads may share it."""

    __slots__ = ("_body", "name", "text")

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.text = text
        self._body: Body | None = None
        if "{{" in text:
            parse_tree(name, text, FUNCTIONS, VARIABLES)

    def render(
        self,
        labels: Mapping[str, str],
        value: float,
        *,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        query: Query = no_query,
        now_s: float = 0.0,
    ) -> str:
        """The text for one alert. `labels` are the element's, with its metric name as `__name__`.

        Raises TemplateError with Go's message.
        """
        if "{{" not in self.text:
            return self.text
        walk, slots = self._body or self._compiled()
        own, external = StringMap(labels), StringMap(external_labels or {})
        number = float(value)
        data = AlertData(own, external, external_url, number)
        state = State(self.name, self.text, Context(query, external_url, now_s))
        state.variables = [data, own, external, external_url, number, *([None] * (slots - len(VARIABLES) - 1))]
        try:
            walk(state, data)
        except (RecursionError, ValueError, OverflowError) as err:  # such as a year 10000, or text that is no Unicode
            raise state.failure(f"cannot be computed: {err}") from None
        return "".join(state.out)

    def _compiled(self) -> Body:
        self._body = compile_tree(parse_tree(self.name, self.text, FUNCTIONS, VARIABLES), VARIABLES)
        return self._body

    def expand(
        self,
        labels: Mapping[str, str],
        value: float,
        *,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        query: Query = no_query,
        now_s: float = 0.0,
    ) -> str:
        """As `render`, but an error becomes the text. Source: prometheus/rules/alerting.go, Eval."""
        try:
            return self.render(
                labels,
                value,
                external_labels=external_labels,
                external_url=external_url,
                query=query,
                now_s=now_s,
            )
        except TemplateError as err:
            return f"<error expanding template: error executing template {self.name}: {err}>"


@lru_cache(maxsize=4096)
def parse(text: str, name: str = "") -> Template:
    """The template. Prometheus names the one of an alert `__alert_` and the alert's name.

    Raises TemplateError with Go's message: `template: NAME:LINE: function "x" not defined`.
    """
    if len(text) > MAX_TEXT:
        raise TemplateError(f"template: {name}:1: text of more than {MAX_TEXT} characters", 1)
    return Template(text, name)
