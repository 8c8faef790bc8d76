"""Breaking the fleet on purpose: injected failures, and what was really simulated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from exporter.duration import parse_duration
from exporter.web.body import read_object
from exporter.web.errors import bad_request, json_response, not_found
from exporter.web.parameters import parse_time

MAX_DURATION_S = 7 * 86_400
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELDS = ("id", "type", "targets", "duration", "intensity")


@dataclass(frozen=True, slots=True)
class Injection:
    """A failure asked for. `id` names it: asked for again it is still one. `intensity` in (0, 1]."""

    id: str
    type: str
    targets: tuple[str, ...]
    duration_s: float
    intensity: float


class Failures(Protocol):
    """The failures of the fleet. What it returns is JSON-able."""

    def types(self) -> Mapping[str, str]:
        """What can be injected: name and description."""
        ...

    def active(self) -> Sequence[Mapping[str, object]]:
        """The failures that go on now or will, each with its `id`."""
        ...

    def inject(self, injection: Injection) -> Mapping[str, object]:
        """Starts a failure now, or returns the one that has this id already."""
        ...

    def clear(self, failure_id: str) -> bool:
        """Ends a failure; False if there is none with this id."""
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
    ) -> None:
        self._failures = failures
        self._servers = servers
        self._new_id = new_id
        self._now = now

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
        types = [{"type": name, "description": text} for name, text in failures.types().items()]
        return json_response({"types": types, "active": list(failures.active())})

    async def inject(self, request: web.Request) -> web.Response:
        """Starts a failure: 201; 200 if it goes on already. Raises ApiError 400 naming the field."""
        failures = self._simulated()
        injection = self._injection(await read_object(request), failures)
        known = any(failure.get("id") == injection.id for failure in failures.active())
        return json_response(failures.inject(injection), 200 if known else 201)

    async def clear(self, request: web.Request) -> web.Response:
        """Ends a failure: 204."""
        failure_id = request.match_info["id"]
        if not self._simulated().clear(failure_id):
            raise not_found(f"no failure has the id {failure_id[:64]!r}")
        return web.Response(status=204)

    async def truth(self, request: web.Request) -> web.Response:
        """The incidents between `start` (default: a day ago) and `end` (default: now)."""
        now = self._now()
        start, end = _moment(request, "start", now - 86_400), _moment(request, "end", now)
        if end < start:
            raise bad_request("end: must not be before start", "end")
        return json_response({"incidents": list(self._simulated().truth(start, end))})

    def _injection(self, body: dict[str, object], failures: Failures) -> Injection:
        if unknown := sorted(set(body) - set(_FIELDS)):
            raise bad_request(f"{unknown[0][:64]}: unknown field; known are {', '.join(_FIELDS)}", unknown[0][:64])
        return Injection(
            id=_text(body, "id", self._new_id(), _ID),
            type=_one_of(body, "type", failures.types()),
            targets=self._targets(body),
            duration_s=_duration_s(body.get("duration", "5m")),
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


def _one_of(body: dict[str, object], name: str, known: Mapping[str, str]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in known:
        raise bad_request(f"{name}: must be one of {', '.join(known)}", name)
    return value


def _duration_s(value: object) -> float:
    """Seconds of a number or a Prometheus duration. Raises ApiError."""
    try:
        seconds = parse_duration(value) / 1000 if isinstance(value, str) else value
    except ValueError as err:
        raise bad_request(f"duration: {err}", "duration") from err
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= MAX_DURATION_S:
        raise bad_request(
            "duration: must be from 1s to 7d, as a number of seconds or a Prometheus duration", "duration"
        )
    return float(seconds)


def _intensity(value: object) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not usable or not 0 < float(str(value)) <= 1:
        raise bad_request("intensity: must be a number above 0 and at most 1", "intensity")
    return float(str(value))
