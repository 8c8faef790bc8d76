"""`/api/unified-metrics` and `/api/ai-agent/optimized`: the fleet and its analysis in one JSON answer each.

An answer is made once per tick and parameters, however many ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson
from aiohttp import web
from isal import igzip

from exporter.analysis.report import LANGUAGES, in_language
from exporter.analysis.status import Fleet
from exporter.model import Snapshot
from exporter.web.alerts import Alerts
from exporter.web.errors import ApiError, bad_request
from exporter.web.fleet_view import rfc3339, streamed, summary, unified
from exporter.web.negotiation import accepts_gzip
from exporter.web.page import Page

_FORMATS = ("json", "prometheus")
_ANSWERS = 64  # kept per tick
_GZIP_FROM = 1_000

Health = Callable[[], Mapping[str, object]]
"""The process's health as JSON: `status` is ok or degraded."""


class _Answer:
    """A body, compressed once however many ask for it so."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._packed: bytes | None = None

    def gzipped(self) -> bytes:
        if self._packed is None:
            self._packed = igzip.compress(self.body, 1)
        return self._packed


class LiveFleet(Protocol):
    """The latest tick."""

    def snapshot(self) -> Snapshot | None: ...

    def fleet(self) -> Fleet: ...

    def latency(self) -> Mapping[str, float]: ...


class Unified:
    """Both routes."""

    def __init__(
        self,
        live: LiveFleet,
        alerts: Alerts,
        page: Page,
        *,
        health: Health,
        status: Callable[[], Mapping[str, object]],
        analysis: Callable[[], Mapping[str, object] | None],
        version: str,
        now: Callable[[], float],
    ) -> None:
        self._live = live
        self._alerts = alerts
        self._page = page
        self._health = health
        self._status = status
        self._analysis = analysis
        self._version = version
        self._now = now
        self._made: dict[tuple[str, int], _Answer] = {}
        self._made_of: tuple[object, object] = (None, None)
        self._told: dict[tuple[str, str], _Answer] = {}
        self._told_of: object = None
        self._actions: Mapping[str, Callable[[int], object]] = {
            "servers": lambda limit: unified(self._live.fleet(), self._alerts.active, limit),
            "summary": lambda _: summary(self._live.fleet()),
            "detailed": self._detailed,
        }

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.get("/api/unified-metrics", self.get), web.get("/api/ai-agent/optimized", self.optimized)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One of the actions; `servers` if none is named."""
        action = request.query.get("action", "servers")
        limit = _limit(request)
        wanted = request.query.get("format", "json")
        if wanted not in _FORMATS:
            raise bad_request(f"format: must be {' or '.join(_FORMATS)}", "format")
        if action == "prometheus" or wanted == "prometheus":
            return await self._page.get(request)
        own: Mapping[str, Callable[[], Awaitable[_Answer]]] = {"health": self._healthy, "status": self._running}
        if action in own:
            return _json(request, await own[action]())
        if action not in self._actions:
            known = ", ".join([*self._actions, *own, "prometheus"])
            raise bad_request(f"action: must be one of {known}", "action")
        return _json(request, self._cached(action, limit))

    async def _healthy(self) -> _Answer:
        health = self._health()
        if health.get("status") != "ok":
            raise ApiError(503, "degraded", "the exporter is not well", health)
        return self._envelope(health, "well")

    async def _running(self) -> _Answer:
        return self._envelope(self._status(), "status of the process")

    def _cached(self, action: str, limit: int) -> _Answer:
        """The answer for this tick and these alerts."""
        of = (self._live.snapshot(), self._alerts.active)
        if of[0] is None:
            raise ApiError(503, "no_samples", "no samples yet: the first tick is still to come")
        if self._made_of[0] is not of[0] or self._made_of[1] is not of[1]:
            self._made, self._made_of = {}, of
        key = (action, limit)
        if key not in self._made:
            if len(self._made) >= _ANSWERS:
                self._made.clear()
            self._made[key] = self._envelope(self._actions[action](limit), action)
        return self._made[key]

    def _detailed(self, limit: int) -> Mapping[str, object]:
        """Servers with all that is known of them, the summary, the alerts and the analysis."""
        fleet = self._live.fleet()
        details = streamed(
            Fleet(fleet.t_ms, fleet.servers[: limit or None]), self._alerts.per_server(), self._live.latency()
        )
        return {
            **unified(fleet, self._alerts.active, limit),
            "summary": summary(fleet),
            "details": details["servers"],
            "alerts": [alert.as_json() for alert in self._alerts.active],
            "analysis": self._analysis(),
        }

    async def optimized(self, request: web.Request) -> web.Response:
        """The latest analysis; `?server=` for one server's part, `?lang=` for words in one language."""
        analysis = self._analysis()
        if analysis is None:
            raise ApiError(503, "no_analysis", "no analysis yet: the first run is still to come")
        server, lang = request.query.get("server", ""), request.query.get("lang", "")
        if lang not in ("", *LANGUAGES):
            raise bad_request(f"lang: must be {' or '.join(LANGUAGES)}", "lang")
        if server and server not in {status.reading.id for status in self._live.fleet().servers}:
            raise ApiError(404, "not_found", f"unknown server {server[:64]!r}", {"field": "server"})
        return _json(request, self._analysed(analysis, server, lang))

    def _analysed(self, analysis: Mapping[str, object], server: str, lang: str) -> _Answer:
        """The answer for this report."""
        if self._told_of is not analysis or len(self._told) >= _ANSWERS:
            self._told, self._told_of = {}, analysis
        key = (server, lang)
        if key not in self._told:
            part = _of_server(analysis, server) if server else analysis
            self._told[key] = self._envelope(in_language(part, lang) if lang else part, "analysis")
        return self._told[key]

    def _envelope(self, data: object, message: str) -> _Answer:
        body = orjson.dumps(
            {
                "success": True,
                "data": data,
                "message": message,
                "timestamp": rfc3339(round(self._now() * 1000)),
                "version": self._version,
            }
        )
        return _Answer(body)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "0")
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise bad_request("limit: must be a whole number, 0 or more", "limit")
    return int(text)


def _of_server(analysis: Mapping[str, object], server: str) -> Mapping[str, object]:
    """What of an analysis concerns one server."""
    return {
        name: [entry for entry in part if _concerns(entry, server)] if isinstance(part, list) else part
        for name, part in analysis.items()
    }


def _concerns(entry: object, server: str) -> bool:
    return isinstance(entry, dict) and (entry.get("server") == server or server in (entry.get("servers") or ()))


def _json(request: web.Request, answer: _Answer) -> web.Response:
    headers = {"Content-Type": "application/json", "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
    body = answer.body
    if len(body) >= _GZIP_FROM and accepts_gzip(request.headers.get("Accept-Encoding", "")):
        body, headers["Content-Encoding"] = answer.gzipped(), "gzip"
    return web.Response(body=body, headers=headers)
