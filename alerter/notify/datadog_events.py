"""Datadog events: one for each transition of an alert. Source: docs.datadoghq.com/api/v1/events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from alerter.model import Alert, AlertState, DeliveryError, Notification
from alerter.notify.datadog_client import DatadogClient
from alerter.notify.datadog_names import tags
from alerter.notify.presenting import AlertView, clipped, view
from exporter.model import Labels

MOST_TEXT = 4_000
MOST_TITLE = 100
OLDEST_S = 18 * 3600 - 60
"""Datadog refuses events older than 18 hours."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as Datadog wants it. `date_happened` is Unix seconds."""

    title: str
    text: str
    tags: list[str]
    alert_type: Literal["error", "warning", "info", "success"]
    priority: Literal["normal", "low"]
    aggregation_key: str
    date_happened: int
    host: str
    source_type_name: str = "openmanager"


def event_of(alert: Alert, at: float, host: str, env: str, sparkline: str = "") -> Event:
    """The event of an alert that fires or has resolved, told at `at` (Unix seconds)."""
    shown = view(alert, sparkline)
    happened = (alert.resolved_at if alert.state is AlertState.RESOLVED else alert.fired_at) or alert.active_at
    kind = _alert_type(shown)
    status = "Resolved" if kind == "success" else "Firing"
    return Event(
        title=clipped(f"[{status}] {shown.summary}", MOST_TITLE),
        text=clipped("\n".join(_lines(shown)), MOST_TEXT),
        tags=tags(alert.labels, {"env": env, "alert_status": shown.status}),
        alert_type=kind,
        priority="low" if kind == "info" else "normal",
        aggregation_key=alert.fingerprint,
        date_happened=int(min(max(happened, at - OLDEST_S), at)),
        host=host,
    )


def _alert_type(shown: AlertView) -> Literal["error", "warning", "info", "success"]:
    if not shown.firing:
        return "success"
    if shown.severity in ("warning", "warn"):
        return "warning"
    return "info" if shown.severity in ("info", "information", "none") else "error"


def _lines(shown: AlertView) -> list[str]:
    lines = [shown.summary, shown.description, f"서버: {shown.server}"]
    if shown.firing:
        lines.append(f"현재 값: {shown.value}{shown.unit}")
    else:
        lines.append(f"현재 값: {shown.resolved_value or '–'} (경보 때 {shown.value}{shown.unit})")
    lines += (shown.annotations.get("runbook", ""), shown.sparkline, shown.runbook_url, shown.generator_url)
    labels = ", ".join(f"{name}={value}" for name, value in shown.labels.items())
    return [*filter(None, lines), labels]


class DatadogEvents:
    """Tells Datadog's event stream.

    One event for each alert, one after the other. Where one fails, the error names those that were accepted, and
    they are left out when the same notification (by its id) is tried again.
    """

    def __init__(
        self,
        client: DatadogClient,
        host: str = "openmanager-v5",
        env: str = "production",
        *,
        name: str = "datadog",
    ) -> None:
        self._client = client
        self._host = host
        self._env = env
        self._name = name
        self._accepted: tuple[str, dict[object, Labels]] = ("", {})

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"DatadogEvents(name={self._name!r})"

    def events(self, notification: Notification) -> list[Event]:
        """What would be sent."""
        return [self._event(alert, notification) for alert in notification.alerts]

    def send(self, notification: Notification) -> None:
        """Returns once every event is accepted. Raises DeliveryError."""
        if self._accepted[0] != notification.id:
            self._accepted = (notification.id, {})
        accepted = self._accepted[1]
        for alert in notification.alerts:
            transition = (alert.labels, alert.state, alert.fired_at, alert.resolved_at)
            if transition in accepted:
                continue
            try:
                self._client.create_event(_request(self._event(alert, notification)))
            except DeliveryError as err:
                err.accepted = frozenset(accepted.values())
                raise
            accepted[transition] = alert.labels
        self._accepted = ("", {})

    def _event(self, alert: Alert, notification: Notification) -> Event:
        sparkline = notification.sparklines.get(alert.fingerprint, "")
        return event_of(alert, notification.at, self._host, self._env, sparkline)


def _request(event: Event) -> Any:
    from datadog_api_client.v1.model.event_alert_type import EventAlertType
    from datadog_api_client.v1.model.event_create_request import EventCreateRequest
    from datadog_api_client.v1.model.event_priority import EventPriority

    make: Callable[..., Any] = EventCreateRequest
    make_type: Callable[..., Any] = EventAlertType
    make_priority: Callable[..., Any] = EventPriority
    return make(
        title=event.title,
        text=event.text,
        tags=event.tags,
        alert_type=make_type(event.alert_type),
        priority=make_priority(event.priority),
        aggregation_key=event.aggregation_key,
        date_happened=event.date_happened,
        host=event.host,
        source_type_name=event.source_type_name,
    )
