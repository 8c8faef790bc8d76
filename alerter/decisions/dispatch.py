"""What a receiver is owed: pure in what is true, what it was told last, the policy and the time.

Alerts with the same `group_by` labels make one message. Within a group, alerts that differ only in detail labels
(the cores of a cpu) are one thing to a reader: one more of them is no news. So a group is told
* when it begins to fire (after group_wait, and group_interval after the last message about it),
* when something else in it begins to fire or is resolved (group_interval after the last message),
* at once when all that was told is resolved,
* again every repeat_interval while it fires.
The comparison is with what is true now, so a receiver that was away gets one current message.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from alerter.decisions.inhibition import Known
from alerter.model import Alert, AlertState
from exporter.model import Labels

ALL_LABELS = "..."
Identity: TypeAlias = Labels
"""An alert's labels without its details: what a reader takes for one thing."""


_RANK = {AlertState.RESOLVED: 0, AlertState.PENDING: 1, AlertState.FIRING: 2}


class Reason(StrEnum):
    """Why a message is owed."""

    FIRING = "firing"
    CHANGED = "changed"
    RESOLVED = "resolved"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Policy:
    """How alerts become messages for one receiver. Times are seconds.

    `resolve_timeout_s`: an alert that was told and of which nothing is known any more counts as resolved after it.
    """

    group_by: tuple[str, ...] = ("alertname", "server")
    detail_labels: tuple[str, ...] = ("core",)
    group_wait_s: float = 0.0
    group_interval_s: float = 60.0
    repeat_interval_s: float = 4 * 3_600.0
    resolve_timeout_s: float = 300.0

    def group_of(self, labels: Labels) -> Labels:
        """The labels that name the group of an alert."""
        if ALL_LABELS in self.group_by:
            return labels
        return tuple(pair for pair in labels if pair[0] in self.group_by)

    def identity(self, labels: Labels) -> Identity:
        """The labels that a reader tells alerts apart by."""
        return tuple(pair for pair in labels if pair[0] not in self.detail_labels)


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver accepted last about a group, at `at` (0 if nothing yet). `firing`: what it believes to be firing.

    `maybe`: what it may believe to be firing too, because it was sent and no answer came, or none was lived to see.
    """

    group_labels: Labels
    at: float
    firing: tuple[Alert, ...] = ()
    maybe: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupView:
    """What is true of one group now. `muted`: labels of alerts that are silenced or inhibited.

    `missing_since`: since when nothing is known of an alert that was told, by its labels.
    `policy`: how it is told; None where nothing that is true decides it.
    """

    labels: Labels
    alerts: Mapping[Labels, Alert] = field(default_factory=dict)
    muted: Collection[Labels] = ()
    missing_since: Mapping[Labels, float] = field(default_factory=dict)
    policy: Policy | None = None

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those a message would name as firing."""
        return tuple(
            alert
            for labels, alert in self.alerts.items()
            if alert.state is AlertState.FIRING and labels not in self.muted
        )


@dataclass(frozen=True, slots=True)
class Owed:
    """A message that may go out from `at` on."""

    at: float
    reason: Reason
    alerts: tuple[Alert, ...]


def grouped(
    known: Iterable[Known], policy_of: Callable[[Labels], Policy | None], muted: Collection[Labels]
) -> dict[Labels, GroupView]:
    """All that is true, by group; an alert without a policy is in none, a group's policy is its first alert's."""
    groups: dict[Labels, dict[Labels, Alert]] = defaultdict(dict)
    policies: dict[Labels, Policy] = {}
    for each in known:
        if (policy := policy_of(each.alert.labels)) is None:
            continue
        name = policy.group_of(each.alert.labels)
        policies.setdefault(name, policy)
        group = groups[name]
        other = group.get(each.alert.labels)
        if other is None or _RANK[each.alert.state] >= _RANK[other.state]:  # two rules may make the same alert
            group[each.alert.labels] = each.alert
    return {labels: GroupView(labels, alerts, muted, policy=policies[labels]) for labels, alerts in groups.items()}


def owed(view: GroupView, told: Told | None, policy: Policy, now: float) -> Owed | None:
    """The message that the receiver is owed about a group, and from when on; None if it knows all."""
    before = _believed(view, told)
    over = {alert.labels: ended for alert in before if (ended := _over(alert, view, policy, now)) is not None}
    firing = view.firing
    if not before:
        return _first(firing, told, policy)
    assert told is not None
    resolved = _also_resolved(view, told.at, before, policy, over)
    if not firing and len(over) == len(before):
        alerts = tuple(alert for alert in resolved if alert.labels not in view.muted)
        return Owed(now, Reason.RESOLVED, alerts) if alerts else None
    if _news(firing, before, over, policy):
        return Owed(told.at + policy.group_interval_s, Reason.CHANGED, (*firing, *resolved))
    if firing:
        return Owed(told.at + policy.repeat_interval_s, Reason.REPEAT, (*firing, *resolved))
    return None


def _believed(view: GroupView, told: Told | None) -> tuple[Alert, ...]:
    """What the receiver believes to be firing, or may believe and should not."""
    if told is None:
        return ()
    return told.firing + tuple(alert for alert in told.maybe if not _fires(view, alert.labels))


def _fires(view: GroupView, labels: Labels) -> bool:
    alert = view.alerts.get(labels)
    return alert is not None and alert.state is AlertState.FIRING


def _first(firing: tuple[Alert, ...], told: Told | None, policy: Policy) -> Owed | None:
    if not firing:
        return None
    at = min(alert.fired_at or alert.active_at for alert in firing) + policy.group_wait_s
    if told is not None:  # it was resolved a moment ago: a flapping alert shall not flood
        at = max(at, told.at + policy.group_interval_s)
    return Owed(at, Reason.FIRING, firing)


def _over(alert: Alert, view: GroupView, policy: Policy, now: float) -> Alert | None:
    """The resolved alert, where one that was told as firing is firing no more."""
    current = view.alerts.get(alert.labels)
    if current is None:
        since = view.missing_since.get(alert.labels, now)
        return _resolved(alert, since) if now - since >= policy.resolve_timeout_s else None
    if current.state is AlertState.FIRING:
        return None
    return current if current.state is AlertState.RESOLVED else _resolved(alert, current.active_at)


def _resolved(alert: Alert, at: float) -> Alert:
    return dataclasses.replace(alert, state=AlertState.RESOLVED, resolved_at=at, keep_firing_since=None)


def _also_resolved(
    view: GroupView, since: float, before: tuple[Alert, ...], policy: Policy, over: Mapping[Labels, Alert]
) -> tuple[Alert, ...]:
    """What is over of what was told, and the details of it that came and went since."""
    identities = {policy.identity(alert.labels) for alert in before}
    found = dict(over)
    for labels, alert in view.alerts.items():
        recent = alert.resolved_at is not None and alert.resolved_at > since
        if recent and labels not in found and policy.identity(labels) in identities:
            found[labels] = alert
    return tuple(found[labels] for labels in sorted(found))


def _news(firing: tuple[Alert, ...], before: tuple[Alert, ...], over: Mapping[Labels, Alert], policy: Policy) -> bool:
    """Whether something else fires than was told, or something of it does no more."""
    known = {policy.identity(alert.labels) for alert in before}
    current = {policy.identity(alert.labels) for alert in firing}
    if current - known:
        return True
    lasting = current | {policy.identity(alert.labels) for alert in before if alert.labels not in over}
    return bool(known - lasting)


def before_telling(view: GroupView, told: Told | None, alerts: Iterable[Alert]) -> Told | None:
    """What the receiver may know from the moment on at which a message with these alerts is sent."""
    known = {alert.labels for alert in (*told.firing, *told.maybe)} if told else set()
    sent = tuple(alert for alert in alerts if alert.state is AlertState.FIRING and alert.labels not in known)
    if not sent:
        return told
    return dataclasses.replace(told or Told(view.labels, 0.0), maybe=(*(told.maybe if told else ()), *sent))


def after_telling(view: GroupView, told: Told | None, alerts: Iterable[Alert], now: float) -> Told:
    """What the receiver knows once it has accepted a message with these alerts."""
    firing = {alert.labels: alert for alert in alerts if alert.state is AlertState.FIRING}
    resolved = {alert.labels for alert in alerts if alert.state is AlertState.RESOLVED}
    maybe = tuple(
        alert for alert in (told.maybe if told else ()) if alert.labels not in firing and alert.labels not in resolved
    )
    for alert in told.firing if told else ():
        if alert.labels not in resolved:
            firing.setdefault(alert.labels, alert)
    return Told(view.labels, now, tuple(firing[labels] for labels in sorted(firing)), maybe)
