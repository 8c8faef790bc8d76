"""Rules and alerts in the shapes of Prometheus' HTTP API. Source: prometheus/web/api/v1/api.go."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from alerter.decisions.evaluation import RuleState
from alerter.loops.group_loop import GroupLoop, RuleRun
from alerter.matchers import all_match
from alerter.model import Alert, AlertState
from alerter.rules.rules import AlertRule, RecordRule
from exporter.model import Matcher

_NEVER = "0001-01-01T00:00:00Z"


def exponent(value: float) -> str:
    """A float as Go's FormatFloat(v, 'e', -1): `8.15e+01`, `NaN`, `+Inf`."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0e+00" if str(value).startswith("-") else "0e+00"
    sign, digits, exp = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exp, int)
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    power = exp + len(digits) - 1
    mantissa = f"{first}.{rest}" if rest else first
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def rfc3339(t: float | None) -> str:
    """Unix seconds as RFC 3339 in UTC, as short as the fraction allows; None is Go's zero time."""
    if t is None:
        return _NEVER
    micros = round(t * 1_000_000)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def alert_json(alert: Alert) -> dict[str, Any]:
    """One pending or firing alert."""
    shown: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": str(alert.state),
        "activeAt": rfc3339(alert.active_at),
    }
    if alert.keep_firing_since is not None:
        shown["keepFiringSince"] = rfc3339(alert.keep_firing_since)
    shown["value"] = exponent(alert.value)
    return shown


def alerts_json(states: Iterable[RuleState]) -> dict[str, Any]:
    """`data` of /api/v1/alerts."""
    active = [alert for state in states for alert in state.active]
    return {"alerts": [alert_json(alert) for alert in sorted(active, key=lambda alert: alert.labels)]}


class Filter:
    """Which rules are asked for. Raises ValueError with Prometheus' text for what it does not know."""

    def __init__(
        self,
        kind: str = "",
        names: Sequence[str] = (),
        groups: Sequence[str] = (),
        files: Sequence[str] = (),
        matchers: Sequence[Sequence[Matcher]] = (),
        exclude_alerts: str = "",
    ) -> None:
        if kind not in ("", "alert", "record"):
            raise ValueError(f'invalid parameter "type": not supported value "{kind}"')
        if exclude_alerts.lower() not in ("", "1", "0", "t", "f", "true", "false"):
            raise ValueError(f'invalid parameter "exclude_alerts": error converting exclude_alerts: "{exclude_alerts}"')
        self.kind, self.names, self.groups, self.files = kind, set(names), set(groups), set(files)
        self.matchers = matchers
        self.exclude_alerts = exclude_alerts.lower() in ("1", "t", "true")

    def wants_group(self, name: str, file: str) -> bool:
        """Whether the group was asked for."""
        return (not self.groups or name in self.groups) and (not self.files or file in self.files)

    def wants_rule(self, rule: AlertRule | RecordRule) -> bool:
        """Whether the rule was asked for."""
        kind = "alert" if isinstance(rule, AlertRule) else "record"
        if (self.kind and self.kind != kind) or (self.names and rule.name not in self.names):
            return False
        labels = dict(rule.labels)
        return not self.matchers or any(all_match(matchers, labels) for matchers in self.matchers)


def rules_json(loops: Iterable[GroupLoop], canonical: Callable[[str], str], wanted: Filter) -> dict[str, Any]:
    """`data` of /api/v1/rules: groups by file and name; those without a wanted rule only where none was filtered."""
    filtered = bool(wanted.kind or wanted.names or wanted.matchers)
    groups = []
    for loop in sorted(loops, key=lambda loop: (loop.group.file, loop.group.name)):
        if not wanted.wants_group(loop.group.name, loop.group.file):
            continue
        rules = [
            _rule_json(rule, run, canonical, wanted)
            for rule, run in zip(loop.group.rules, loop.runs, strict=True)
            if wanted.wants_rule(rule)
        ]
        if rules or not filtered:
            groups.append(_group_json(loop, rules))
    return {"groups": groups}


def _group_json(loop: GroupLoop, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": loop.group.name,
        "file": loop.group.file,
        "rules": rules,
        "interval": _number(loop.group.interval_s),
        "limit": loop.group.limit,
        "evaluationTime": loop.stats.took_s,
        "lastEvaluation": rfc3339(loop.stats.evaluated_at),
    }


def _rule_json(
    rule: AlertRule | RecordRule, run: RuleRun, canonical: Callable[[str], str], wanted: Filter
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if isinstance(rule, AlertRule):
        shown["state"] = rule_state(run.state)
    shown |= {"name": rule.name, "query": canonical(rule.expr)}
    if isinstance(rule, AlertRule):
        shown |= {
            "duration": _number(rule.for_s),
            "keepFiringFor": _number(rule.keep_firing_for_s),
            "labels": dict(rule.labels),
            "annotations": dict(rule.annotations),
            "alerts": [] if wanted.exclude_alerts else _alerts_of(run.state),
        }
    elif rule.labels:
        shown["labels"] = dict(rule.labels)
    shown["health"] = str(run.health)
    if run.last_error:
        shown["lastError"] = run.last_error
    shown |= {
        "evaluationTime": run.took_s,
        "lastEvaluation": rfc3339(run.evaluated_at),
        "type": "alerting" if isinstance(rule, AlertRule) else "recording",
    }
    return shown


def _alerts_of(state: RuleState) -> list[Mapping[str, Any]]:
    return [alert_json(alert) for alert in sorted(state.active, key=lambda alert: alert.labels)]


def rule_state(state: RuleState) -> str:
    """The strongest state among a rule's alerts."""
    states = {alert.state for alert in state.active}
    if AlertState.FIRING in states:
        return "firing"
    return "pending" if AlertState.PENDING in states else "inactive"


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value
