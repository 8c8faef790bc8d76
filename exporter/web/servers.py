"""The inventory: which servers there are, read and changed by clients, and found by Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import orjson
from aiohttp import web

from exporter.inventory.document import read_server, written
from exporter.model import Server
from exporter.web.audit import Audit
from exporter.web.body import read_object
from exporter.web.errors import ApiError, bad_request, json_response, not_found
from exporter.web.etag import check_write, etag, has_it
from exporter.web.fleet_view import rfc3339
from exporter.web.merge_patch import merged

_AT_ONCE = 1000  # more of them are written beside the event loop
Decide = Callable[[Server | None], Server | None]


class RegisterAway(Exception):
    """Nothing can be written now; what is known can still be read. The message is one line."""


class ServerRefused(Exception):
    """The fleet cannot be as it was asked to be. The message is one line."""


class Register(Protocol):
    """The servers of the fleet."""

    def servers(self) -> Mapping[str, Server]:
        """All of them by name, in the order of the fleet. Asks nobody."""
        ...

    def proposed(self, name: str, role: str) -> Server:
        """What a server of this role is where nothing else is said. Raises ValueError for an unknown role."""
        ...

    def change(self, name: str, decide: Decide) -> Server | None:
        """Keep what `decide` makes of a server; None takes it out of the fleet. It may take seconds.

        Raises RegisterAway, ServerRefused and what `decide` raises.
        """
        ...


class Servers:
    """Routes about the fleet's servers. `now` gives Unix seconds."""

    def __init__(self, register: Register, now: Callable[[], float], audit: Audit) -> None:
        self._register = register
        self._audit = audit
        self._now = now
        self._writing = asyncio.Lock()
        self._refusals = 0

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/api/servers", self.listing),
            web.post("/api/servers", self.add),
            web.get("/api/servers/{id}", self.server),
            web.put("/api/servers/{id}", self.put),
            web.patch("/api/servers/{id}", self.patch),
            web.delete("/api/servers/{id}", self.remove),
            web.get("/api/maintenance", self.maintenance),
            web.get("/api/prometheus/sd", self.discovery),
        ]

    def names(self) -> Sequence[str]:
        """All known servers."""
        return list(self._register.servers())

    # -- reading ----------------------------------------------------------------------------------

    async def listing(self, request: web.Request) -> web.Response:
        """All servers, or `limit` of them that come after the one named `after`; then `next` says where to go on."""
        servers = list(self._register.servers().values())
        first, limit = _after(request, servers), _limit(request)
        chosen = servers[first : first + limit] if limit else servers[first:]
        body = await _encoded(chosen) if len(chosen) > _AT_ONCE else _body(chosen)
        more = {"next": chosen[-1].name} if chosen and first + len(chosen) < len(servers) else {}
        return json_response({"servers": orjson.Fragment(body), **more})

    async def server(self, request: web.Request) -> web.Response:
        """One server of it; 304 to whom has it already."""
        found = self._known(request)
        if has_it(request, _tag(found)):
            return web.Response(status=304, headers={"ETag": _tag(found)})
        return _shown(found)

    async def maintenance(self, _request: web.Request) -> web.Response:
        """The windows in which servers are worked on, those that are going on or will."""
        now_ms = self._now() * 1000
        windows = [
            {
                "server": server.name,
                "start": rfc3339(window.start_ms),
                "end": rfc3339(window.end_ms),
                "reason": window.reason,
            }
            for server in self._register.servers().values()
            for window in server.maintenance
            if window.end_ms > now_ms
        ]
        return json_response({"windows": windows})

    async def discovery(self, request: web.Request) -> web.Response:
        """A target per server: this exporter, asked for that server alone.

        Source: prometheus.io/docs/prometheus/latest/http_sd.
        """
        return json_response([_target(request.host, server) for server in self._register.servers().values()])

    def _known(self, request: web.Request) -> Server:
        name = request.match_info["id"]
        found = self._register.servers().get(name)
        if found is None:
            raise _unknown(name)
        return found

    # -- changing ---------------------------------------------------------------------------------

    async def add(self, request: web.Request) -> web.Response:
        """A new server: 201; 409 if there is one of its id."""
        tree = await read_object(request)
        name = tree.get("id")
        if not isinstance(name, str):
            raise bad_request("id: must be the name of the new server", "id")

        def decide(current: Server | None) -> Server:
            if current is not None:
                raise ApiError(409, "conflict", f"id: {name[:64]!r}: there is a server of this name")
            return self._complete(name, tree)

        return _shown(await self._changed(request, name, decide), 201, {"Location": f"/api/servers/{name}"})

    async def put(self, request: web.Request) -> web.Response:
        """The server is what the body says, the rest is as its role has it: 201 if it is new, else 200."""
        name, tree = request.match_info["id"], await read_object(request)
        if tree.get("id", name) != name:
            raise bad_request(f"id: {str(tree['id'])[:64]!r}: must be {name[:64]!r}, as in the path", "id")
        created = False

        def decide(current: Server | None) -> Server:
            nonlocal created
            check_write(request, None if current is None else _tag(current))
            created = current is None
            return self._complete(name, tree)

        return _shown(await self._changed(request, name, decide), 201 if created else 200)

    async def patch(self, request: web.Request) -> web.Response:
        """The body's fields replace the server's, as RFC 7396 merges them."""
        name, patch = request.match_info["id"], await read_object(request)

        def decide(current: Server | None) -> Server:
            check_write(request, None if current is None else _tag(current))
            if current is None:
                raise _unknown(name)
            try:
                tree = merged(written(current), patch)
            except ValueError as err:
                raise bad_request(str(err)) from None
            if tree.get("id") != name:
                raise bad_request("id: a server keeps its name", "id")
            return self._complete(name, tree)

        return _shown(await self._changed(request, name, decide))

    async def remove(self, request: web.Request) -> web.Response:
        """The server is no longer of the fleet: 204."""
        name = request.match_info["id"]

        def decide(current: Server | None) -> None:
            check_write(request, None if current is None else _tag(current))
            if current is None:
                raise _unknown(name)

        await self._changed(request, name, decide)
        return web.Response(status=204)

    def _complete(self, name: str, tree: Mapping[str, Any]) -> Server:
        """The server that a body describes. Raises ApiError 400 naming place, value and rule."""
        role = tree.get("role")
        try:
            usual = written(self._register.proposed(name, role)) if isinstance(role, str) else {}
            return read_server({**usual, **tree, "id": name})
        except ValueError as err:
            raise bad_request(str(err), str(err).partition(":")[0]) from None

    async def _changed(self, request: web.Request, name: str, decide: Decide) -> Server | None:
        """The server after a change that has been noted."""
        after = await self._written(name, decide)
        detail = {} if after is None else written(after)
        await self._audit.note(request, "remove server" if after is None else "write server", name, detail)
        return after

    async def _written(self, name: str, decide: Decide) -> Server | None:
        """One change after the other. Whoever waited while one could not be written need not find out alone."""
        seen = self._refusals
        async with self._writing:
            if self._refusals != seen:
                raise _away("the inventory could not be written a moment ago")
            try:
                return await asyncio.to_thread(self._register.change, name, decide)
            except RegisterAway as err:
                self._refusals += 1
                raise _away(str(err)) from None
            except ServerRefused as err:
                raise ApiError(409, "conflict", str(err)) from None


def _away(reason: str) -> ApiError:
    return ApiError(503, "inventory_away", f"{reason}; nothing has changed")


def _unknown(name: str) -> ApiError:
    return not_found(f"unknown server {name[:64]!r}")


def _body(servers: Sequence[Server]) -> bytes:
    return orjson.dumps([written(server) for server in servers])


async def _encoded(servers: Sequence[Server]) -> bytes:
    parts = iter(servers)
    bodies = []
    while some := list(islice(parts, _AT_ONCE)):
        bodies.append((await asyncio.to_thread(_body, some))[1:-1])
    return b"[" + b",".join(bodies) + b"]"


def _shown(server: Server | None, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    assert server is not None, "only what is removed is not shown"
    return json_response(written(server), status, {"ETag": _tag(server), **(headers or {})})


def _tag(server: Server) -> str:
    return etag(orjson.dumps(written(server)))


def _after(request: web.Request, servers: Sequence[Server]) -> int:
    name = request.query.get("after")
    if name is None:
        return 0
    for number, server in enumerate(servers):
        if server.name == name:
            return number + 1
    raise bad_request(f"after: unknown server {name[:64]!r}", "after")


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100_000):
        raise bad_request(f"limit: {text[:64]!r}: must be a whole number from 1 to 100000", "limit")
    return int(text[:9])


def _target(host: str, server: Server) -> dict[str, object]:
    return {
        "targets": [host],
        "labels": {
            **server.labels,
            "__metrics_path__": "/api/prometheus/metrics",
            "__param_server": server.name,
            "instance": server.name,
            "role": server.role,
            "environment": server.environment,
        },
    }
