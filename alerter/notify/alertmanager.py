"""An Alertmanager, told as Prometheus tells it. Source: prometheus/notifier; alertmanager/api/v2/openapi.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from alerter.model import Alert, DeliveryError, Notification
from alerter.notify.answers import LIMIT_S, Answer, Scrubber, is_temporary, retry_after_s
from alerter.notify.posting import Poster
from alerter.notify.rfc3339 import rfc3339

BATCH = 256
"""No request holds more alerts."""

Posted: TypeAlias = tuple[Alert, float, float]
"""An alert, when it began to fire, and when it ends or has ended. Times are Unix seconds."""


class Alertmanager:
    """Posts to `/api/v2/alerts`. Posting an alert again changes nothing there.

    Raises ValueError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        ends_after_s: float = 240.0,
        *,
        now: Callable[[], float],
        name: str = "alertmanager",
        limit_s: float = LIMIT_S,
    ) -> None:
        self._name = name
        self._ends_after_s = ends_after_s
        self._poster = Poster(f"{url.rstrip('/')}/api/v2/alerts", limit_s=limit_s)
        self._now = now

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"Alertmanager(name={self._name!r})"

    def send(self, notification: Notification) -> None:
        """Returns once all alerts are accepted; those firing end `ends_after_s` from now unless posted again.

        Raises DeliveryError.
        """
        ends_at = notification.at + self._ends_after_s
        self.post(
            (alert, alert.fired_at or alert.active_at, alert.resolved_at or ends_at) for alert in notification.alerts
        )

    def post(self, alerts: Iterable[Posted]) -> None:
        """Returns once all are accepted. Raises DeliveryError."""
        entries = [_entry(*posted) for posted in alerts]
        for start in range(0, len(entries), BATCH):
            body = json.dumps(entries[start : start + BATCH], ensure_ascii=False)
            accept(self._poster.post(body.encode("utf-8", "replace")), self._poster.scrub, self._now())


def _entry(alert: Alert, starts_at: float, ends_at: float) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(starts_at),
        "endsAt": rfc3339(ends_at),
        "generatorURL": alert.generator_url,
    }


def accept(answer: Answer, scrub: Scrubber, now_s: float) -> None:
    """Nothing, if the status is 2xx. Raises DeliveryError with the start of the answer's text."""
    if 200 <= answer.status < 300:
        return
    retryable = is_temporary(answer.status)
    words = "" if answer.body.lstrip().startswith("<") else scrub(answer.body)
    wait = retry_after_s(answer, now_s) if retryable else None
    raise DeliveryError(f"{answer.status} {words}".strip(), retryable=retryable, retry_after_s=wait)
