"""Datadog service checks: the state of each alert as a check. Source: docs.datadoghq.com/api/v1/service-checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alerter.model import Alert, Notification
from alerter.notify.datadog_client import DatadogClient
from alerter.notify.datadog_names import tags
from alerter.notify.presenting import AlertView, clipped, view

CHECK = "openmanager.alert"
OK, WARNING, CRITICAL = 0, 1, 2
MOST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Check:
    """One check as Datadog wants it. `timestamp` is Unix seconds, never more than 10 minutes old."""

    check: str
    status: int
    host_name: str
    tags: list[str]
    message: str
    timestamp: int


def check_of(alert: Alert, at: float, host: str, env: str) -> Check:
    """The check of an alert that fires or has resolved, as it is at `at` (Unix seconds)."""
    shown = view(alert)
    value = f" ({shown.value}{shown.unit})" if shown.firing else ""
    return Check(
        check=CHECK,
        status=_status(shown),
        host_name=host,
        tags=tags(alert.labels, {"env": env}),
        message=clipped(shown.summary + value, MOST_MESSAGE),
        timestamp=int(at),
    )


def _status(shown: AlertView) -> int:
    if not shown.firing:
        return OK
    return WARNING if shown.severity in ("warning", "warn", "info", "information", "none") else CRITICAL


class DatadogChecks:
    """Tells Datadog's service checks. All alerts of a notification go in one request: accepted whole or not at all."""

    def __init__(
        self,
        client: DatadogClient,
        host: str = "openmanager-v5",
        env: str = "production",
        *,
        name: str = "datadog-checks",
    ) -> None:
        self._client = client
        self._host = host
        self._env = env
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"DatadogChecks(name={self._name!r})"

    def send(self, notification: Notification) -> None:
        """Returns once the checks are accepted. Raises DeliveryError. Sending them again changes nothing there."""
        checks = [check_of(alert, notification.at, self._host, self._env) for alert in notification.alerts]
        self._client.submit_checks(_request(checks))


def _request(checks: Sequence[Check]) -> Any:
    from datadog_api_client.v1.model.service_check import ServiceCheck
    from datadog_api_client.v1.model.service_check_status import ServiceCheckStatus
    from datadog_api_client.v1.model.service_checks import ServiceChecks

    make: Callable[..., Any] = ServiceCheck
    make_status: Callable[..., Any] = ServiceCheckStatus
    make_all: Callable[..., Any] = ServiceChecks
    return make_all(
        [
            make(
                check=check.check,
                status=make_status(check.status),
                host_name=check.host_name,
                tags=check.tags,
                message=check.message,
                timestamp=check.timestamp,
            )
            for check in checks
        ]
    )
