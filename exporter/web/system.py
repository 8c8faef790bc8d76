"""The exporter itself: health, probes, the scheduler's timers, the servers it knows, discovery for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from exporter.analysis.status import Fleet
from exporter.schedule import Timer
from exporter.web.errors import json_response, not_found
from exporter.web.fleet_view import rfc3339

_LATE = 3  # ticks


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must work. `detail` says what is wrong when it does not."""

    name: str
    ok: bool
    detail: str = ""


class System:
    """Routes about the process. `checks` are asked at each request and must not block."""

    def __init__(
        self,
        fleet: Callable[[], Fleet],
        timers: Callable[[], Sequence[Timer]],
        checks: Callable[[], Sequence[Check]],
        *,
        interval_s: float,
        started: float,
        version: str,
        now: Callable[[], float],
        inventory: Callable[[], Sequence[Mapping[str, object]]] | None = None,
    ) -> None:
        self._fleet = fleet
        self._timers = timers
        self._checks = checks
        self._interval_s = interval_s
        self._started = started
        self._version = version
        self._now = now
        self._inventory = inventory

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.ready),
            web.get("/api/health", self.get_health),
            web.get("/api/system/timers", self.get_timers),
            web.get("/api/servers", self.servers),
            web.get("/api/servers/{id}", self.server),
            web.get("/api/prometheus/sd", self.discovery),
        ]

    async def healthy(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="OpenManager exporter is Healthy.\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """There are samples to serve."""
        if not self._fleet().t_ms:
            return web.Response(status=503, text="no samples yet: the first tick is still to come\n")
        return web.Response(text="OpenManager exporter is Ready.\n")

    async def get_health(self, _request: web.Request) -> web.Response:
        """200 while all is well, else 503; what is wrong either way."""
        health = self.health()
        return json_response(health, 200 if health["status"] == "ok" else 503)

    def health(self) -> Mapping[str, object]:
        """`status` is ok while every check is and ticks come."""
        checks = [self._ticking(), *self._checks()]
        return {
            "status": "ok" if all(check.ok for check in checks) else "degraded",
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
            "version": self._version,
            "uptime_s": round(self._now() - self._started, 1),
        }

    def _ticking(self) -> Check:
        age_s = self._now() - self._fleet().t_ms / 1000
        if not self._fleet().t_ms:
            return Check("ticks", False, "no tick yet")
        late = age_s > _LATE * self._interval_s
        return Check("ticks", not late, f"the last tick is {age_s:.0f} s old" if late else "")

    async def get_timers(self, _request: web.Request) -> web.Response:
        """The scheduler's jobs."""
        return json_response({"timers": self.timers()})

    def timers(self) -> list[dict[str, object]]:
        """The record of every job."""
        return [
            {
                "name": timer.job.name,
                "description": timer.job.description,
                "interval_s": timer.job.interval_s,
                "priority": timer.job.priority.name.lower(),
                "running": timer.running,
                "next_run": rfc3339(timer.next_slot * 1000),
                "last_run": None if timer.last_slot is None else rfc3339(timer.last_slot * 1000),
                "last_duration_s": timer.last_duration_s,
                "lag_s": timer.lag_s,
                "runs": timer.runs,
                "errors": timer.errors,
                "missed": timer.missed,
                "last_error": timer.last_error,
            }
            for timer in self._timers()
        ]

    async def servers(self, _request: web.Request) -> web.Response:
        """The inventory."""
        return json_response({"servers": self._known()})

    async def server(self, request: web.Request) -> web.Response:
        """One server of it."""
        wanted = request.match_info["id"]
        for server in self._known():
            if server["id"] == wanted:
                return json_response(server)
        raise not_found(f"unknown server {wanted[:64]!r}")

    def _known(self) -> Sequence[Mapping[str, object]]:
        if self._inventory is not None:
            return self._inventory()
        readings = [status.reading for status in self._fleet().servers]
        return [{"id": of.id, "role": of.role, "environment": of.environment} for of in readings]

    def server_ids(self) -> list[str]:
        """The names of all known servers."""
        return [str(server["id"]) for server in self._known()]

    async def discovery(self, request: web.Request) -> web.Response:
        """A target per server: this exporter, asked for that server alone.

        Source: prometheus.io/docs/prometheus/latest/http_sd.
        """
        return json_response(
            [
                {
                    "targets": [request.host],
                    "labels": {
                        "__metrics_path__": "/api/prometheus/metrics",
                        "__param_server": str(server["id"]),
                        "instance": str(server["id"]),
                        "role": str(server.get("role", "")),
                        "environment": str(server.get("environment", "")),
                    },
                }
                for server in self._known()
            ]
        )
