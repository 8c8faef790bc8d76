"""Who changed what, and when: the last changes, in memory and in the log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from exporter.web.errors import json_response
from exporter.web.fleet_view import rfc3339

log = logging.getLogger(__name__)

KEPT = 1000


class Audit:
    """Holds the last changes. `now` gives Unix seconds, `name` who makes a request, "" for anybody."""

    def __init__(self, now: Callable[[], float], name: Callable[[web.Request], Awaitable[str]]) -> None:
        self._now = now
        self._name = name
        self._entries: deque[dict[str, object]] = deque(maxlen=KEPT)

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [web.get("/api/audit", self.listing)]

    async def note(self, request: web.Request, what: str, subject: str, detail: Mapping[str, object]) -> None:
        """Remember that the sender of a request did `what` to `subject`."""
        entry: dict[str, object] = {
            "time": rfc3339(round(self._now() * 1000)),
            "who": await self._name(request) or "anybody",
            "from": request.remote or "",
            "what": what,
            "subject": subject,
            "detail": {name: value for name, value in detail.items() if name != "affected"},
        }
        self._entries.append(entry)
        log.info("changed who=%s from=%s what=%s subject=%s", entry["who"], entry["from"], what, subject)

    async def listing(self, _request: web.Request) -> web.Response:
        """The last changes, newest first."""
        return json_response({"entries": list(reversed(self._entries))})
