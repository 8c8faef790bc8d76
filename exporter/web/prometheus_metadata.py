"""The Prometheus HTTP API's questions about what there is: labels, label values, series, metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

import orjson
from aiohttp import web

from exporter.model import Labels, Matcher, Queryable
from exporter.promql.errors import ParseError
from exporter.promql.gotext import quote
from exporter.promql.parser import parse_selector
from exporter.web.body import Form
from exporter.web.parameters import MAX_TIME_MS, MIN_TIME_MS, limit, number_of, time_ms
from exporter.web.prometheus_reply import PrometheusError, Reply, endpoint
from exporter.web.workers import Workers

T = TypeVar("T")

TRUNCATED = "results truncated due to limit"
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPED = re.compile(r"__|_([0-9a-fA-F]{1,6})_")


class Metadata:
    """Answers from a Queryable, on the worker threads."""

    def __init__(self, samples: Queryable, workers: Workers) -> None:
        self._samples = samples
        self._workers = workers

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            *endpoint("/labels", self.labels, "GET", "POST"),
            *endpoint("/label/{name}/values", self.label_values, "GET"),
            *endpoint("/series", self.series, "GET", "POST"),
            *endpoint("/metadata", self.metadata, "GET"),
        ]

    async def labels(self, request: web.Request, form: Form) -> Reply:
        """Sorted names of labels."""
        most, found = limit(form), self._select(form)
        return await self._workers.run(
            request, lambda: _listed(sorted({name for labels in found() for name, _ in labels}), most)
        )

    async def label_values(self, request: web.Request, form: Form) -> Reply:
        """Sorted values of one label."""
        name = unescape(request.match_info["name"])
        if not name:
            raise PrometheusError("bad_data", f"invalid label name: {quote(request.match_info['name'])}")
        most, found = limit(form), self._select(form)
        return await self._workers.run(
            request,
            lambda: _listed(sorted({value for labels in found() for key, value in labels if key == name}), most),
        )

    async def series(self, request: web.Request, form: Form) -> Reply:
        """Label sets, sorted."""
        if not form.all("match[]"):
            raise PrometheusError("bad_data", "no match[] parameter provided")
        most, found = limit(form), self._select(form, 'invalid parameter "match[]": ')
        return await self._workers.run(request, lambda: _listed([dict(labels) for labels in sorted(found())], most))

    async def metadata(self, _request: web.Request, form: Form) -> Reply:
        """Type, help and unit by metric."""
        most = number_of(form, "limit")
        number_of(form, "limit_per_metric")  # checked only: one description each is all there is
        families = self._samples.families()
        if wanted := form.get("metric"):
            families = {name: family for name, family in families.items() if name == wanted}
        shown = islice(families.items(), most)
        return Reply(
            orjson.dumps(
                {name: [{"type": of.type.value, "help": of.help, "unit": of.unit}] for name, of in shown},
            )
        )

    def _select(self, form: Form, blame: str = "") -> Callable[[], set[Labels]]:
        """What finds the series that any of the `match[]` selects; no `match[]` selects all.

        Raises what is wrong; what is wrong with a `match[]`, with `blame` before it.
        """
        start = time_ms(form, "start", MIN_TIME_MS)
        end = time_ms(form, "end", MAX_TIME_MS)
        if end < start:
            raise PrometheusError("bad_data", 'invalid parameter "end": end timestamp must not be before start time')
        selectors = [_matchers(text, blame) for text in form.all("match[]")] or [()]
        return lambda: {labels for matchers in selectors for labels in self._samples.series(matchers, start, end)}


def _matchers(text: str, blame: str) -> Sequence[Matcher]:
    try:
        matchers = parse_selector(text)
    except ParseError as err:
        raise PrometheusError("bad_data", f"{blame}{err}") from err
    if all(matcher.matches("") for matcher in matchers):
        raise PrometheusError("bad_data", f"{blame}match[] must contain at least one non-empty matcher")
    return matchers


def _listed(found: list[T], most: int) -> Reply:
    cut = bool(most) and len(found) > most
    return Reply(orjson.dumps(found[:most] if cut else found), (TRUNCATED,) if cut else ())


def unescape(name: str) -> str:
    """The label that a URL means: a plain name, or `U__` and the escaped form of any other; "" if it is neither.

    Source: prometheus/common, model/metric.go, UnescapeName.
    """
    if name.startswith("U__"):
        return _ESCAPED.sub(_unescaped, name[3:])
    return name if _LEGACY_LABEL.fullmatch(name) else ""


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None:
        return "_"
    code = int(match[1], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else match[0]
