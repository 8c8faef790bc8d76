"""What an Alertmanager is sent, and when: pure in a rule's state, what was sent before and the time.

Source: prometheus/rules/alerting.go, needsSending and sendAlerts; notifier, batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerter.decisions.evaluation import RuleState
from alerter.model import Alert, AlertState
from exporter.model import Labels

BATCH = 256


@dataclass(frozen=True, slots=True)
class Send:
    """One alert of a batch. Times are Unix seconds; `starts_at` is when it fired, also once resolved."""

    alert: Alert
    starts_at: float
    ends_at: float


def sends(
    state: RuleState, sent_at: Mapping[Labels, float], t: float, *, resend_delay_s: float, interval_s: float
) -> tuple[list[Send], dict[Labels, float]]:
    """The alerts to send at `t`, and when each was sent last after that.

    Firing ones on first firing and then when strictly more than the resend delay has passed; resolved ones
    at once and then likewise, for as long as the state keeps them.
    """
    due: list[Send] = []
    last: dict[Labels, float] = {}
    for labels, alert in state.alerts.items():
        if alert.state is AlertState.PENDING:
            continue
        assert alert.fired_at is not None
        before = sent_at.get(labels)
        if before is not None and before < alert.active_at:
            before = None  # that was an earlier alert with the same labels
        if not _needs_sending(alert, before, t, resend_delay_s):
            if before is not None:
                last[labels] = before
            continue
        last[labels] = t
        ends_at = alert.resolved_at if alert.resolved_at is not None else t + 4 * max(resend_delay_s, interval_s)
        due.append(Send(alert, alert.fired_at, ends_at))
    return due, last


def _needs_sending(alert: Alert, sent_at: float | None, t: float, resend_delay_s: float) -> bool:
    if sent_at is None or (alert.resolved_at is not None and alert.resolved_at > sent_at):
        return True
    return sent_at + resend_delay_s < t
