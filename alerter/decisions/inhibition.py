"""Which firing alerts are not worth a message of their own because a worse one says it already.

The built-in rule: a critical alert covers the warnings of the same rule group whose labels are the same but for
`alertname`, `severity` and the detail labels. It covers them for a while after it is resolved too, if they were
already active then: on its way down a value passes the warning's threshold, and that is no news.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerter.matchers import all_match, parse_matcher
from alerter.model import Alert, AlertState
from exporter.model import Labels, Matcher

NAMING_LABELS = ("alertname", "severity")


@dataclass(frozen=True, slots=True)
class Known:
    """An alert and the rule group that made it."""

    alert: Alert
    rule_group: str


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """Targets are inhibited while a source fires that agrees with them.

    `equal` names the labels that must agree; None means all but `ignored`, and the same rule group.
    `linger_s`: how long a resolved source still inhibits what was active before it was resolved.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = NAMING_LABELS
    linger_s: float = 0.0


def built_in(detail_labels: Sequence[str], linger_s: float) -> InhibitRule:
    """A critical alert covers the warning beneath it."""
    return InhibitRule(
        source=(parse_matcher('severity="critical"'),),
        target=(parse_matcher('severity="warning"'),),
        ignored=(*NAMING_LABELS, *detail_labels),
        linger_s=linger_s,
    )


def inhibited(known: Iterable[Known], rules: Sequence[InhibitRule], now: float) -> set[Labels]:
    """The labels of the firing alerts that another alert covers. An alert never covers itself."""
    everyone = tuple(known)
    covered: set[Labels] = set()
    for rule in rules:
        covered |= _covered(everyone, rule, now)
    return covered


def _covered(everyone: Sequence[Known], rule: InhibitRule, now: float) -> set[Labels]:
    sources: dict[tuple[object, ...], list[Alert]] = defaultdict(list)
    for known in everyone:
        if _inhibits(known.alert, rule, now) and all_match(rule.source, known.alert.label):
            sources[_common(known, rule)].append(known.alert)
    if not sources:
        return set()
    return {
        known.alert.labels
        for known in everyone
        if known.alert.state is AlertState.FIRING
        and all_match(rule.target, known.alert.label)
        and any(_covers(source, known.alert) for source in sources.get(_common(known, rule), ()))
    }


def _inhibits(alert: Alert, rule: InhibitRule, now: float) -> bool:
    if alert.state is AlertState.FIRING:
        return True
    return alert.resolved_at is not None and now - alert.resolved_at < rule.linger_s


def _covers(source: Alert, target: Alert) -> bool:
    if source.labels == target.labels:
        return False
    return source.resolved_at is None or target.active_at <= source.resolved_at


def _common(known: Known, rule: InhibitRule) -> tuple[object, ...]:
    """What a source and its targets have in common."""
    if rule.equal is not None:
        return tuple(known.alert.label.get(name, "") for name in rule.equal)
    return (known.rule_group, tuple(pair for pair in known.alert.labels if pair[0] not in rule.ignored))
