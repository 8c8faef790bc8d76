"""The alerter over HTTP: Prometheus' rules and alerts, history, reload, probes, telemetry and a page."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from alerter.loops.group_loop import GroupLoop
from alerter.rules.rules import RuleFileError
from alerter.state.state import Happened, StoreError
from alerter.web import api
from exporter.promql.errors import ParseError
from exporter.promql.parser import parse_selector

log = logging.getLogger(__name__)
_HISTORY_LIMIT = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Site:
    """What the handlers show and may do."""

    loops: Callable[[], Sequence[GroupLoop]]
    canonical: Callable[[str], str]
    history: Callable[[float, float, int], Awaitable[list[Happened]]]
    reload: Callable[[], Awaitable[None]]
    ready: Callable[[], bool]
    telemetry: Callable[[], bytes]
    page: Callable[[], Awaitable[str]]
    graph: Callable[[str], Awaitable[str]]
    past: Callable[[Sequence[Happened], str, float], str]
    now: Callable[[], float]


def answer(status: int, body: Mapping[str, Any] | Sequence[Any] | str) -> web.Response:
    """JSON that any page may read."""
    headers = {"Access-Control-Allow-Origin": "*"}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def success(data: Any) -> web.Response:
    """Prometheus' envelope."""
    return answer(200, {"status": "success", "data": data})


def bad_data(message: str) -> web.Response:
    """Prometheus' envelope for a parameter that cannot be used."""
    return answer(400, {"status": "error", "errorType": "bad_data", "error": message})


def routes(site: Site) -> list[web.RouteDef]:
    """What is served."""

    async def rules(request: web.Request) -> web.Response:
        try:
            wanted = _filter(request)
        except ValueError as err:
            return bad_data(str(err))
        return success(api.rules_json(site.loops(), site.canonical, wanted))

    async def alerts(_: web.Request) -> web.Response:
        return success(api.alerts_json(run.state for loop in site.loops() for run in loop.runs))

    async def history(request: web.Request) -> web.Response:
        try:
            start, end, limit = _span(request, site.now())
        except ValueError as err:
            return bad_data(str(err))
        try:
            found = await site.history(start, end, _HISTORY_LIMIT)
        except StoreError as err:
            return answer(503, {"status": "error", "errorType": "unavailable", "error": str(err)})
        return success([_happened_json(event) for event in _matching(found, request)[:limit]])

    async def past(request: web.Request) -> web.Response:
        try:
            start, end, limit = _span(request, site.now())
            found = _matching(await site.history(start, end, _HISTORY_LIMIT), request)[:limit]
        except ValueError as err:
            return web.Response(status=400, text=f"{err}\n")
        except StoreError as err:
            return web.Response(status=503, text=f"{err}\n")
        shown = site.past(found, request.query.get("q", ""), site.now())
        return web.Response(text=shown, content_type="text/html", headers=_PAGE_HEADERS)

    async def reload(_: web.Request) -> web.Response:
        try:
            await site.reload()
        except RuleFileError as err:
            lines = "\n".join(str(mistake) for mistake in err.mistakes)
            return web.Response(status=500, text=f"failed to reload config: {lines}\n")
        return web.Response()

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="OpenManager alerter is Healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        if site.ready():
            return web.Response(text="OpenManager alerter is Ready.\n")
        return web.Response(status=503, text="Service Unavailable\n")

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=site.telemetry(), headers=headers)

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=await site.page(), content_type="text/html", headers=_PAGE_HEADERS)

    async def graph(request: web.Request) -> web.Response:
        shown = await site.graph(request.query.get("g0.expr", ""))
        return web.Response(text=shown, content_type="text/html", headers=_PAGE_HEADERS)

    return [
        web.get("/", page),
        web.get("/graph", graph),
        web.get("/history", past),
        web.get("/metrics", metrics),
        web.get("/-/healthy", healthy),
        web.get("/-/ready", ready),
        web.post("/-/reload", reload),
        web.put("/-/reload", reload),
        web.get("/api/v1/rules", rules),
        web.get("/api/v1/alerts", alerts),
        web.get("/api/v1/history", history),
    ]


_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def application(*tables: Sequence[web.RouteDef], guard: Middleware | None = None) -> web.Application:
    """The application with these routes, behind a guard."""
    made = web.Application(client_max_size=1 << 20, middlewares=[_logged, *([guard] if guard else [])])
    for table in tables:
        made.add_routes(table)
    return made


@web.middleware
async def _logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    began = time.perf_counter()
    response = await handler(request)
    took_ms = (time.perf_counter() - began) * 1_000
    log.debug("answered method=%s path=%s status=%d ms=%.1f", request.method, request.path, response.status, took_ms)
    return response


def _filter(request: web.Request) -> api.Filter:
    query = request.query
    matchers = []
    for text in query.getall("match[]", []):
        try:
            matchers.append(parse_selector(text))
        except ParseError as err:
            raise ValueError(f'invalid parameter "match[]": {err}') from None
    return api.Filter(
        kind=query.get("type", "").lower(),
        names=query.getall("rule_name[]", []),
        groups=query.getall("rule_group[]", []),
        files=query.getall("file[]", []),
        matchers=matchers,
        exclude_alerts=query.get("exclude_alerts", ""),
    )


def _span(request: web.Request, now: float) -> tuple[float, float, int]:
    """start, end and limit of a history request; by default the newest 100 of all that is kept."""
    values = {"start": 0.0, "end": now, "limit": 100.0}
    for name in values:
        if (text := request.query.get(name)) is None:
            continue
        try:
            values[name] = float(text)
        except ValueError:
            raise ValueError(f'invalid parameter "{name}": cannot parse "{text}" to a number') from None
    if not 1 <= values["limit"] <= _HISTORY_LIMIT:
        raise ValueError(f'invalid parameter "limit": must be from 1 to {_HISTORY_LIMIT}')
    return values["start"], values["end"], int(values["limit"])


def _happened_json(event: Happened) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "time": api.rfc3339(event.t),
        "kind": event.kind,
        "what": event.what,
        "labels": dict(event.labels),
    }
    if event.receiver:
        shown["receiver"] = event.receiver
    if event.detail:
        shown["detail"] = event.detail
    if event.value is not None:
        shown["value"] = api.exponent(event.value)
    return shown


def _matching(found: Sequence[Happened], request: web.Request) -> list[Happened]:
    """Those that hold every word of the parameter q."""
    words = request.query.get("q", "").lower().split()
    return [event for event in found if not words or all(word in _searchable(event) for word in words)]


def _searchable(event: Happened) -> str:
    words = [
        event.kind,
        event.what,
        event.receiver,
        event.detail,
        *(f'{name}="{value}"' for name, value in event.labels),
    ]
    return "\n".join(words).lower()
