"""What a backtest says: a line for each step, or for each rule how loud it would have been."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerter.decisions.evaluation import Change
from alerter.rules.rules import AlertRule, Group
from alerter.tools.backtest import Step
from alerter.web import api
from exporter.duration import format_duration
from exporter.model import Labels

_DAY_S = 86_400.0
FLAP_S = 600.0
"""Firing again within this time of being resolved is a flap."""


def step_json(step: Step) -> dict[str, Any]:
    """One evaluation, its alerts as /api/v1/alerts shows them."""
    alerts = sorted(step.alerts, key=lambda alert: alert.labels)
    t: float | int = int(step.t) if step.t == int(step.t) else step.t
    return {"t": t, "alerts": [api.alert_json(alert) for alert in alerts], "errors": step.errors}


def step_line(step: Step) -> str:
    """One evaluation as a line of JSON."""
    return json.dumps(step_json(step), ensure_ascii=False)


@dataclass(slots=True)
class Noise:
    """How loud one rule was. Durations are seconds."""

    group: str
    rule: str
    fired: int = 0
    firing_s: float = 0.0
    pending_only: int = 0
    flaps: int = 0
    errors: int = 0
    series: dict[Labels, int] = field(default_factory=dict)
    _since: dict[Labels, float] = field(default_factory=dict)
    _resolved: dict[Labels, float] = field(default_factory=dict)

    def note(self, change: Change, labels: Labels, t: float) -> None:
        """Take in one transition."""
        if change is Change.FIRING:
            self.fired += 1
            self.series[labels] = self.series.get(labels, 0) + 1
            self._since[labels] = t
            if t - self._resolved.get(labels, float("-inf")) <= FLAP_S:
                self.flaps += 1
        elif change is Change.RESOLVED:
            self.firing_s += t - self._since.pop(labels, t)
            self._resolved[labels] = t
        elif change is Change.DROPPED:
            self.pending_only += 1

    def close(self, t: float) -> None:
        """What still fires at the end has fired until then."""
        self.firing_s += sum(t - since for since in self._since.values())
        self._since.clear()


class Report:
    """Adds up steps."""

    def __init__(self, groups: Sequence[Group], start: float, end: float) -> None:
        self._span_s = max(end - start, 1.0)
        self._end = end
        self.rules = [
            Noise(group.name, rule.name) for group in groups for rule in group.rules if isinstance(rule, AlertRule)
        ]

    def add(self, step: Step) -> None:
        """Take in one step."""
        for index, transition in step.transitions:
            self.rules[index].note(transition.change, transition.alert.labels, transition.t)
        for noise in self.rules:
            noise.errors += noise.rule in step.errors

    def rows(self) -> Iterable[dict[str, Any]]:
        """One row for each rule, the loudest first."""
        for noise in self.rules:
            noise.close(self._end)
        for noise in sorted(self.rules, key=lambda noise: (-noise.fired, noise.group, noise.rule)):
            worst = sorted(noise.series.items(), key=lambda item: (-item[1], item[0]))
            yield {
                "group": noise.group,
                "rule": noise.rule,
                "fired": noise.fired,
                "firing_seconds": noise.firing_s,
                "series": len(noise.series),
                "flaps": noise.flaps,
                "pending_only": noise.pending_only,
                "errors": noise.errors,
                "pages_per_day": noise.fired * _DAY_S / self._span_s,
                "worst": [{"labels": dict(labels), "fired": count} for labels, count in worst[:5]],
            }

    def as_json(self) -> str:
        """The whole report as one JSON object."""
        return json.dumps({"seconds": self._span_s, "rules": list(self.rows())}, ensure_ascii=False, indent=2)

    def as_text(self) -> str:
        """The whole report as a table."""
        heads = ("rule", "fired", "firing for", "series", "flaps", "nearly", "errors", "pages/day")
        rows = [heads, *(_cells(row) for row in self.rows())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    duration = format_duration(round(row["firing_seconds"]) * 1_000)
    counts = (str(row[name]) for name in ("series", "flaps", "pending_only", "errors"))
    return (row["rule"], str(row["fired"]), duration, *counts, f"{row['pages_per_day']:.2f}")
