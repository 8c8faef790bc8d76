"""Servers as JSON, for the stream and for the unified API."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from exporter.analysis.servers import means
from exporter.analysis.status import Fleet, Health, ServerStatus
from exporter.web.alerts import ActiveAlert


def rfc3339(t_ms: float) -> str:
    """`2025-05-31T10:00:00Z`, with milliseconds where there are any."""
    moment = datetime.fromtimestamp(t_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def number(value: float, digits: int = 1) -> float | None:
    """Rounded; None for NaN, which JSON does not have."""
    return None if value != value else round(value, digits)


def whole(value: float) -> int | None:
    """Rounded to an integer; None for NaN."""
    return None if value != value else round(value)


def _down(server: ServerStatus) -> bool:
    return server.health is Health.DOWN


_URGENCY = {Health.DOWN: 0, Health.CRITICAL: 1, Health.WARNING: 2, Health.HEALTHY: 3}


def streamed(
    fleet: Fleet, alerts: Mapping[str, int], latency: Mapping[str, float], most: int | None = None
) -> dict[str, object]:
    """The data of the channel `server-metrics`; of more than `most` servers those in the worst health.

    alerts: how many fire on each server. latency: its 99th percentile in seconds, where there were requests.
    """
    shown: Sequence[ServerStatus] = fleet.servers
    if most is not None and len(shown) > most:
        shown = sorted(shown, key=lambda server: _URGENCY[server.health])[:most]
    return {
        "servers": [_streamed(server, alerts, latency.get(server.reading.id, math.nan)) for server in shown],
        "omitted": len(fleet.servers) - len(shown),
        "tick": fleet.t_ms // 1000,
        "summary": summary(fleet),
    }


def _streamed(server: ServerStatus, alerts: Mapping[str, int], p99_s: float) -> dict[str, object]:
    of = server.reading
    return {
        "id": of.id,
        **_measures(server),
        "status": server.health.value,
        "reason": server.reason,
        "since": server.since_ms // 1000,
        "alerts": alerts.get(of.id, 0),
        "role": of.role,
        "environment": of.environment,
        "response_ms": None if _down(server) else number(of.response_s * 1000),
        "p99_ms": None if _down(server) else number(p99_s * 1000),
        "requests": None if _down(server) else number(of.requests_per_s),
        "booted": whole(of.booted_s),
    }


def _measures(server: ServerStatus) -> dict[str, object]:
    """cpu, memory, disk in percent, network in bytes per second; null for a server that is down."""
    of = server.reading
    if _down(server):
        return {"cpu": None, "memory": None, "disk": None, "network": {"in": None, "out": None}}
    return {
        "cpu": number(of.cpu),
        "memory": number(of.memory),
        "disk": number(of.disk),
        "network": {"in": whole(of.network_in), "out": whole(of.network_out)},
    }


def summary(fleet: Fleet) -> dict[str, object]:
    """How many servers there are in each health, and the averages."""
    counts = fleet.counts()
    cpu, memory = means(fleet.readings())
    return {
        "total_servers": len(fleet.servers),
        "healthy": counts[Health.HEALTHY],
        "warning": counts[Health.WARNING],
        "critical": counts[Health.CRITICAL],
        "down": counts[Health.DOWN],
        "avg_cpu": number(cpu),
        "avg_memory": number(memory),
    }


def unified(fleet: Fleet, alerts: Iterable[ActiveAlert], limit: int = 0) -> dict[str, object]:
    """The data of `/api/unified-metrics`: each server with its alerts, and the counts of all."""
    by_server: dict[str, list[dict[str, object]]] = {}
    for alert in alerts:
        by_server.setdefault(alert.labels.get("server", ""), []).append(alert.as_json())
    shown = fleet.servers[: limit or None]
    counts = fleet.counts()
    return {
        "servers": [_unified(server, by_server.get(server.reading.id, [])) for server in shown],
        "total_count": len(fleet.servers),
        "healthy_count": counts[Health.HEALTHY],
        "warning_count": counts[Health.WARNING],
        "critical_count": counts[Health.CRITICAL],
        "down_count": counts[Health.DOWN],
    }


def _unified(server: ServerStatus, alerts: list[dict[str, object]]) -> dict[str, object]:
    of = server.reading
    return {
        "id": of.id,
        "name": of.id,
        "type": of.role,
        "status": server.health.value,
        "reason": server.reason,
        "metrics": _measures(server),
        "alerts": alerts,
        "last_update": rfc3339(server.t_ms),
    }
