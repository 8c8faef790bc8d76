"""Breaking the fleet on purpose: injected failures, and what was really simulated."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import orjson
from aiohttp import web

from exporter.duration import parse_duration
from exporter.web.audit import Audit
from exporter.web.body import read_object
from exporter.web.errors import ApiError, bad_request, json_response, not_found
from exporter.web.parameters import parse_time

T = TypeVar("T")

MAX_DURATION_S = 7 * 86_400
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELDS = ("id", "type", "targets", "duration", "ttl", "intensity")


class Taken(Exception):
    """The id is that of another failure."""


class Unkept(Exception):
    """What keeps failures through a restart is away, so nothing was changed."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A failure asked for. `id` names it: asked for again it is still one. `intensity` in (0, 1].

    targets: none means where the failure usually starts. duration_s: None means as long as it usually lasts, or with
    `ttl_s` at its peak until it is cleared or so long after it was last asked for. Invariant: not both are set.
    """

    id: str
    type: str
    targets: tuple[str, ...]
    duration_s: float | None
    ttl_s: float | None
    intensity: float


class Failures(Protocol):
    """The failures of the fleet. What it returns is JSON-able."""

    def types(self) -> Sequence[Mapping[str, object]]:
        """What can be injected, each with its `type` and `description`."""
        ...

    def active(self) -> Sequence[Mapping[str, object]]:
        """The failures that go on now or will, each with its `id`."""
        ...

    def inject(self, injection: Injection) -> tuple[Mapping[str, object], bool]:
        """Starts a failure now, or returns the one that has this id already; and whether it is new.

        May block. Raises ValueError, Taken and Unkept.
        """
        ...

    def clear(self, failure_id: str) -> Mapping[str, object] | None:
        """Ends a failure; None if there is none with this id. May block. Raises Unkept."""
        ...

    def truth(self, start_s: float, end_s: float) -> Sequence[Mapping[str, object]]:
        """The incidents that touch [start_s, end_s], Unix seconds."""
        ...


class Control:
    """The routes for failures. `failures` is None where nothing is simulated: then all of it is 404."""

    def __init__(
        self,
        failures: Failures | None,
        servers: Callable[[], Sequence[str]],
        new_id: Callable[[], str],
        now: Callable[[], float],
        audit: Audit,
    ) -> None:
        self._failures = failures
        self._servers = servers
        self._new_id = new_id
        self._now = now
        self._audit = audit
        self._changing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/api/scenarios", self.listing),
            web.post("/api/scenarios", self.inject),
            web.delete("/api/scenarios/{id}", self.clear),
            web.get("/api/truth", self.truth),
        ]

    def _simulated(self) -> Failures:
        if self._failures is None:
            raise not_found("nothing is simulated here, so nothing can be broken on purpose")
        return self._failures

    async def listing(self, _request: web.Request) -> web.Response:
        """What can be injected, and what goes on now."""
        failures = self._simulated()
        return json_response({"types": list(failures.types()), "active": list(failures.active())})

    async def inject(self, request: web.Request) -> web.Response:
        """Starts a failure: 201; 200 if there is one with this id. Raises ApiError naming the field."""
        failures = self._simulated()
        injection = self._injection(await read_object(request), failures)
        try:
            made, new = await self._change(lambda: failures.inject(injection))
        except Taken as err:
            raise ApiError(409, "conflict", str(err), {"field": "id"}) from err
        except ValueError as err:
            raise bad_request(str(err)) from err
        if new or injection.ttl_s is not None:
            await self._audit.note(request, "inject" if new else "renew", str(made["id"]), made)
        return json_response(made, 201 if new else 200)

    async def clear(self, request: web.Request) -> web.Response:
        """Ends a failure: 204."""
        failures, failure_id = self._simulated(), request.match_info["id"]
        cleared = await self._change(lambda: failures.clear(failure_id))
        if cleared is None:
            raise not_found(f"no failure has the id {failure_id[:64]!r}")
        await self._audit.note(request, "clear", failure_id, cleared)
        return web.Response(status=204)

    async def _change(self, act: Callable[[], T]) -> T:
        """One change at a time, away from the loop. Raises ApiError 503 where it cannot be kept."""
        try:
            async with self._changing:
                return await asyncio.to_thread(act)
        except Unkept as err:
            raise ApiError(503, "unavailable", f"nothing was changed: {err}") from err

    async def truth(self, request: web.Request) -> web.Response:
        """The incidents between `start` (default: a day ago) and `end` (default: now); `format=jsonl` a line each."""
        now = self._now()
        start, end = _moment(request, "start", now - 86_400), _moment(request, "end", now)
        if end < start:
            raise bad_request("end: must not be before start", "end")
        form = request.query.get("format", "json")
        if form not in ("json", "jsonl"):
            raise bad_request(f"format: {form[:64]!r}: must be json or jsonl", "format")
        incidents = await asyncio.to_thread(self._simulated().truth, start, end)
        if form == "json":
            return json_response({"incidents": list(incidents)})
        lines = b"".join(orjson.dumps(incident, option=orjson.OPT_APPEND_NEWLINE) for incident in incidents)
        return web.Response(body=lines, headers={"Content-Type": "application/jsonl"})

    def _injection(self, body: dict[str, object], failures: Failures) -> Injection:
        if unknown := sorted(set(body) - set(_FIELDS)):
            raise bad_request(f"{unknown[0][:64]}: unknown field; known are {', '.join(_FIELDS)}", unknown[0][:64])
        if "duration" in body and "ttl" in body:
            raise bad_request("ttl: must not be set together with duration", "ttl")
        return Injection(
            id=_text(body, "id", self._new_id(), _ID),
            type=_one_of(body, "type", [str(of["type"]) for of in failures.types()]),
            targets=self._targets(body) if "targets" in body else (),
            duration_s=_duration_s(body, "duration"),
            ttl_s=_duration_s(body, "ttl"),
            intensity=_intensity(body.get("intensity", 1.0)),
        )

    def _targets(self, body: dict[str, object]) -> tuple[str, ...]:
        given = body.get("targets")
        if not isinstance(given, list) or not given or not all(isinstance(target, str) for target in given):
            raise bad_request("targets: must be a list of server names, not empty", "targets")
        known = set(self._servers())
        if unknown := [target for target in given if target not in known]:
            raise bad_request(f"targets: unknown server {unknown[0][:64]!r}", "targets")
        return tuple(dict.fromkeys(given))


def _moment(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name, "")
    try:
        return parse_time(text) / 1000 if text else default
    except ValueError as err:
        raise bad_request(f"{name}: {err}", name) from err


def _text(body: dict[str, object], name: str, default: str, pattern: re.Pattern[str]) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise bad_request(f"{name}: must match {pattern.pattern}", name)
    return value


def _one_of(body: dict[str, object], name: str, known: Sequence[str]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in known:
        raise bad_request(f"{name}: must be one of {', '.join(known)}", name)
    return value


def _duration_s(body: dict[str, object], name: str) -> float | None:
    """Seconds of a number or a Prometheus duration, None where it is not there. Raises ApiError."""
    if name not in body:
        return None
    value = body[name]
    try:
        seconds = parse_duration(value) / 1000 if isinstance(value, str) else value
    except ValueError as err:
        raise bad_request(f"{name}: {err}", name) from err
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= MAX_DURATION_S:
        raise bad_request(f"{name}: must be from 1s to 7d, as a number of seconds or a Prometheus duration", name)
    return float(seconds)


def _intensity(value: object) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not usable or not 0 < float(str(value)) <= 1:
        raise bad_request("intensity: must be a number above 0 and at most 1", "intensity")
    return float(str(value))
