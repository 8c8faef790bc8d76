"""A webhook that is told in Alertmanager's JSON. Source: prometheus.io/docs/alerting, webhook_config."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from alerter.model import Alert, AlertState, Notification
from alerter.notify.alertmanager import accept
from alerter.notify.answers import LIMIT_S
from alerter.notify.posting import Poster
from alerter.notify.rfc3339 import NEVER, rfc3339
from exporter.model import Labels


class Webhook:
    """Posts each notification to one URL, which may be a secret: it is in no error and no repr.

    Raises ValueError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], float],
        name: str = "webhook",
        limit_s: float = LIMIT_S,
    ) -> None:
        self._name = name
        self._poster = Poster(url, limit_s=limit_s)
        self._now = now

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"Webhook(name={self._name!r})"

    def send(self, notification: Notification) -> None:
        """Returns once it was answered with 2xx. Raises DeliveryError."""
        body = json.dumps(payload(notification, self._name), ensure_ascii=False)
        accept(self._poster.post(body.encode("utf-8", "replace")), self._poster.scrub, self._now())


def payload(notification: Notification, receiver: str) -> dict[str, Any]:
    """The body, version 4."""
    alerts = notification.alerts
    group = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in notification.group_labels)
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{group}}}",
        "truncatedAlerts": 0,
        "status": "firing" if notification.firing else "resolved",
        "receiver": receiver,
        "groupLabels": dict(notification.group_labels),
        "commonLabels": _common([alert.labels for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
        "externalURL": notification.external_url,
        "alerts": [_entry(alert) for alert in alerts],
    }


def _common(sets: Sequence[Labels]) -> dict[str, str]:
    """The pairs that all of them have."""
    first, *rest = (dict(pairs) for pairs in sets)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in rest)}


def _entry(alert: Alert) -> dict[str, Any]:
    return {
        "status": "resolved" if alert.state is AlertState.RESOLVED else "firing",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(alert.fired_at or alert.active_at),
        "endsAt": NEVER if alert.resolved_at is None else rfc3339(alert.resolved_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }
