"""The exporter itself: health, probes, the scheduler's timers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from exporter.analysis.status import Fleet
from exporter.schedule import Timer
from exporter.web.errors import json_response
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
    ) -> None:
        self._fleet = fleet
        self._timers = timers
        self._checks = checks
        self._interval_s = interval_s
        self._started = started
        self._version = version
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            web.get("/-/healthy", self.healthy),
            web.get("/-/ready", self.ready),
            web.get("/api/health", self.get_health),
            web.get("/api/system/timers", self.get_timers),
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
