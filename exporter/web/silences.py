"""The alerter's silences, for a page that may talk to nobody but the exporter."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from exporter.web.alerter import Alerter, AlerterAway, Answer
from exporter.web.body import JSON_BYTES, read
from exporter.web.errors import ApiError, not_found

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class SilenceRoutes:
    """Passes silences through to the alerter; `changed` is awaited after each change."""

    def __init__(self, alerter: Alerter, changed: Callable[[], Awaitable[None]]) -> None:
        self._alerter = alerter
        self._changed = changed

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/api/silences", self.listing),
            web.post("/api/silences", self.add),
            web.delete("/api/silences/{id}", self.expire),
        ]

    async def listing(self, _request: web.Request) -> web.Response:
        """The silences in the shape of Alertmanager's API. Raises ApiError 502 while the alerter is away."""
        return await self._through("GET", "/api/v2/silences", None, "")

    async def add(self, request: web.Request) -> web.Response:
        """Adds one, or changes the one with its id."""
        body = await read(request, JSON_BYTES)
        answer = await self._through("POST", "/api/v2/silences", body, request.headers.get("Authorization", ""))
        await self._changed()
        return answer

    async def expire(self, request: web.Request) -> web.Response:
        """Ends one."""
        silence_id = request.match_info["id"]
        if not _ID.fullmatch(silence_id):
            raise not_found(f"no silence has the id {silence_id[:64]!r}")
        path = f"/api/v2/silence/{silence_id}"
        answer = await self._through("DELETE", path, None, request.headers.get("Authorization", ""))
        await self._changed()
        return answer

    async def _through(self, method: str, path: str, body: bytes | None, authorization: str) -> web.Response:
        try:
            if method == "GET":
                answer = await self._alerter.get(path)
            else:
                answer = await self._alerter.send(method, path, body, authorization)
        except AlerterAway as err:
            raise ApiError(502, "alerter_away", str(err)) from err
        if answer.status >= 400:
            raise ApiError(answer.status, "alerter_refused", _reason(answer))
        return web.Response(body=answer.body, headers={"Content-Type": "application/json"})


def _reason(answer: Answer) -> str:
    """What the alerter says is wrong."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = answer.body.decode("utf-8", "replace")
    if isinstance(said, dict):
        said = said.get("error") or said.get("message") or said
    return f"the alerter says: {str(said).strip()[:500]}"
