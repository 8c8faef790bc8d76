"""Alerts and notifications for the receivers' tests."""

from __future__ import annotations

from collections.abc import Mapping

from alerter.model import Alert, AlertState, Notification
from exporter.model import make_labels

AT = 1_700_000_000.0


def alert(
    server: str = "web-01",
    *,
    value: float = 97.312,
    state: AlertState = AlertState.FIRING,
    resolved_value: float | None = None,
    severity: str = "critical",
    url: str = "",
    annotations: Mapping[str, str] | None = None,
    **more: str,
) -> Alert:
    return Alert(
        labels=make_labels({"alertname": "CriticalCPUUsage", "server": server, "severity": severity}),
        annotations=make_labels({"summary": f"Critical CPU usage on {server}", **(annotations or {}), **more}),
        state=state,
        value=value,
        active_at=AT - 180,
        fired_at=AT - 60,
        resolved_at=AT if state is AlertState.RESOLVED else None,
        resolved_value=resolved_value,
        generator_url=url,
    )


def resolved(server: str = "web-01", resolved_value: float | None = 12.34) -> Alert:
    return alert(server, state=AlertState.RESOLVED, resolved_value=resolved_value)


def notification(*alerts: Alert, id: str = "n1", at: float = AT) -> Notification:
    return Notification(id, (("alertname", "CriticalCPUUsage"),), alerts or (alert(),), at)
