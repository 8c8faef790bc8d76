"""What one evaluation of a rule makes of the alerts it had: pure in the rule, its state, the elements and the time.

Source: prometheus/rules/alerting.go and group.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from alerter.model import Alert, AlertState
from alerter.rules.rules import AlertRule, RecordRule
from exporter.model import METRIC_NAME, Labels

RESOLVED_RETENTION_S = 900.0
ALERT_NAME = "alertname"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an instant vector. `labels` may hold `__name__`."""

    labels: Labels
    value: float


Expand = Callable[[str, Element], str]
"""The text of a template for an element; a template that fails gives its error as text."""


class EvaluationError(Exception):
    """This evaluation of a rule counts for nothing: what was known before stays as it was."""


class LimitExceededError(EvaluationError):
    """A rule made more than its group's limit: everything it had is forgotten, and nobody is told."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """What an alerting rule remembers between evaluations.

    `alerts` by their labels: pending and firing ones, and resolved ones for 15 minutes.
    `evaluated_at` is the time of the last evaluation that counted, in Unix seconds.
    """

    alerts: Mapping[Labels, Alert] = field(default_factory=dict)
    evaluated_at: float | None = None

    @property
    def active(self) -> Iterator[Alert]:
        """Those that are pending or firing."""
        return (alert for alert in self.alerts.values() if alert.state is not AlertState.RESOLVED)


def evaluate(
    rule: AlertRule,
    before: RuleState,
    elements: Sequence[Element],
    t: float,
    *,
    expand: Expand,
    limit: int = 0,
    generator_url: str = "",
) -> RuleState:
    """The rule's state after an evaluation at `t` that found `elements`.

    Raises EvaluationError for two elements with equal labels, LimitExceededError past the limit.
    """
    found = _found(rule, elements, t, expand, generator_url)
    alerts: dict[Labels, Alert] = {}
    for labels, new in found.items():
        alert = _fired(_continued(before.alerts.get(labels), new, t), rule, t)
        alerts[alert.labels] = alert  # by the labels it had before, so that those of each round can go
    for labels, old in before.alerts.items():
        if labels not in found and (kept := _missing(old, rule, t)) is not None:
            alerts[labels] = kept
    after = RuleState(alerts, t)
    if limit > 0 and (count := sum(1 for _ in after.active)) > limit:
        raise LimitExceededError(f"exceeded limit of {limit} with {count} alerts")
    return after


def _found(
    rule: AlertRule, elements: Sequence[Element], t: float, expand: Expand, generator_url: str
) -> dict[Labels, Alert]:
    """A pending alert for each element, by its labels."""
    found: dict[Labels, Alert] = {}
    for element in elements:
        labels = alert_labels(rule, element, expand)
        if labels in found:
            raise EvaluationError("vector contains metrics with the same labelset after applying alert labels")
        annotations = tuple((name, expand(text, element)) for name, text in rule.annotations)
        found[labels] = Alert(
            labels, annotations, AlertState.PENDING, element.value, active_at=t, generator_url=generator_url
        )
    return found


def alert_labels(rule: AlertRule, element: Element, expand: Expand) -> Labels:
    """The element's labels without its name, overwritten by the rule's and by `alertname`; empty ones do not exist."""
    labels = dict(element.labels)
    labels.pop(METRIC_NAME, None)
    for name, text in rule.labels:
        labels[name] = expand(text, element)
    labels[ALERT_NAME] = rule.name
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def _continued(old: Alert | None, new: Alert, t: float) -> Alert:
    """The alert as it was with the new value and texts; a resolved one starts anew.

    A clock that was put back must not lengthen `for` by as much: nothing is active since a time to come.
    """
    if old is None or old.state is AlertState.RESOLVED:
        return new
    return dataclasses.replace(
        old,
        value=new.value,
        annotations=new.annotations,
        generator_url=new.generator_url,
        active_at=min(old.active_at, t),
        fired_at=None if old.fired_at is None else min(old.fired_at, t),
        keep_firing_since=None,
    )


def _fired(alert: Alert, rule: AlertRule, t: float) -> Alert:
    if alert.state is AlertState.PENDING and t - alert.active_at >= rule.for_s:
        return dataclasses.replace(alert, state=AlertState.FIRING, fired_at=t)
    return alert


def _missing(old: Alert, rule: AlertRule, t: float) -> Alert | None:
    """What becomes of an alert whose element is gone; None is forgotten."""
    if old.state is AlertState.PENDING:
        return None
    if old.state is AlertState.RESOLVED:
        assert old.resolved_at is not None
        return old if t - old.resolved_at <= RESOLVED_RETENTION_S else None
    since = old.keep_firing_since if old.keep_firing_since is not None else t
    if rule.keep_firing_for_s > 0 and t - since < rule.keep_firing_for_s:
        return dataclasses.replace(old, keep_firing_since=since)
    return dataclasses.replace(old, state=AlertState.RESOLVED, resolved_at=t, keep_firing_since=None)


def record(rule: RecordRule, elements: Sequence[Element], *, limit: int = 0) -> list[Element]:
    """The series a recording rule writes. Raises EvaluationError."""
    written: dict[Labels, Element] = {}
    for element in elements:
        labels = {**dict(element.labels), **dict(rule.labels), METRIC_NAME: rule.name}
        key = tuple(sorted((name, value) for name, value in labels.items() if value))
        if key in written:
            raise EvaluationError("vector contains metrics with the same labelset after applying rule labels")
        written[key] = Element(key, element.value)
    if limit > 0 and len(written) > limit:
        raise LimitExceededError(f"exceeded limit of {limit} with {len(written)} series")
    return list(written.values())


def exposed(state: RuleState) -> list[Element]:
    """`ALERTS` and `ALERTS_FOR_STATE` of the pending and firing alerts."""
    series = []
    for alert in state.active:
        labels = dict(alert.labels)
        alerts = {**labels, METRIC_NAME: "ALERTS", "alertstate": str(alert.state)}
        for_state = {**labels, METRIC_NAME: "ALERTS_FOR_STATE"}
        series.append(Element(tuple(sorted(alerts.items())), 1.0))
        series.append(Element(tuple(sorted(for_state.items())), float(int(alert.active_at))))
    return series


# -- what changed -------------------------------------------------------------------------------


class Change(StrEnum):
    """A step in an alert's life."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    DROPPED = "dropped"  # pending, and gone before it fired


@dataclass(frozen=True, slots=True)
class Transition:
    """One alert's step at one evaluation. `t` is Unix seconds."""

    t: float
    change: Change
    alert: Alert


def transitions(before: RuleState, after: RuleState, t: float) -> list[Transition]:
    """The steps between two states, in the order of the labels."""
    steps = []
    for labels, alert in after.alerts.items():
        old = before.alerts.get(labels)
        if old is None or (old.state, old.active_at) != (alert.state, alert.active_at):
            steps.append(Transition(t, Change(str(alert.state)), alert))
    for labels, alert in before.alerts.items():
        if alert.state is AlertState.PENDING and labels not in after.alerts:
            steps.append(Transition(t, Change.DROPPED, alert))
    return sorted(steps, key=lambda step: step.alert.labels)


# -- after a restart ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restoration:
    """How a state that was kept is taken up again. Durations are seconds."""

    grace_s: float = 600.0
    outage_tolerance_s: float = 3_600.0


def restored(rule: AlertRule, kept: RuleState, t: float, interval_s: float, how: Restoration) -> RuleState:
    """The state with which the first evaluation at `t` after a restart begins.

    No slot missed: as if nothing had happened. Longer, up to the tolerated outage: what fired fires on, what
    was pending waits at least the grace, and the whole `for` anew where that is shorter. Past it, what fired is
    resolved and everything starts anew.
    Source: prometheus/rules/group.go, RestoreForState.
    """
    if kept.evaluated_at is None or t - kept.evaluated_at < 1.5 * interval_s:
        return kept
    down_at = kept.evaluated_at
    if t - down_at > how.outage_tolerance_s:
        return RuleState(ended(kept, t), kept.evaluated_at)
    alerts = {}
    for labels, alert in kept.alerts.items():
        if alert.state is AlertState.PENDING:
            active_at = _restored_active_at(alert, rule.for_s, down_at, t, how.grace_s)
            alert = dataclasses.replace(alert, active_at=active_at)
        alerts[labels] = alert
    return RuleState(alerts, kept.evaluated_at)


def _restored_active_at(alert: Alert, for_s: float, down_at: float, t: float, grace_s: float) -> float:
    if for_s < grace_s:
        return t
    remaining = for_s - (down_at - alert.active_at)
    if remaining < grace_s:
        return t + grace_s - for_s
    return alert.active_at + (t - down_at)


def ended(state: RuleState, t: float) -> dict[Labels, Alert]:
    """The alerts of a rule that is no more: what fired is resolved at `t`, what was pending is gone."""
    alerts = {}
    for labels, alert in state.alerts.items():
        if alert.state is AlertState.FIRING:
            alert = dataclasses.replace(alert, state=AlertState.RESOLVED, resolved_at=t, keep_firing_since=None)
        if alert.state is AlertState.RESOLVED:
            alerts[labels] = alert
    return alerts
