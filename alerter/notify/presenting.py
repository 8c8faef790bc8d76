"""Alerts as people read them: one view for every message template."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from alerter.model import Alert, AlertState, Notification
from exporter.model import Labels

MOST_CHARACTERS = 1_000
"""No label's or annotation's value is shown longer."""

_UNKNOWN = "–"
_MOST_DIGITS = 9
_PERCENTAGE = re.compile(r"percent|\*\s*100(?![0-9.])|(?<![0-9.])100\s*[*-]", re.IGNORECASE)
_SERVER_LABELS = ("server", "instance", "node", "nodename", "host", "hostname", "pod")


class Texts(dict[str, str]):
    """Labels or annotations by name; one that is absent is ""."""

    def __missing__(self, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class AlertView:
    """What a template sees of an alert. Times are Unix seconds.

    `value` is the last value while firing, rounded for reading; `unit` belongs behind it.
    `resolved_value` is the value at the time it resolved, with its unit, "" where it is not known.
    A view of several alerts that differ in details alone has the texts and the value of the one with the highest
    value, and `details`: `core 0–3, 7 (5): 95.2–98.4`; `count` says how many they are.
    """

    name: str
    status: str
    severity: str
    summary: str
    description: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    server: str
    value: str
    unit: str
    resolved_value: str
    since: float
    ended: float | None
    generator_url: str
    runbook_url: str
    sparkline: str
    fingerprint: str
    details: str = ""
    count: int = 1

    @property
    def firing(self) -> bool:
        return self.status == "firing"

    @property
    def color(self) -> str:
        """Slack's word: good when over, warning for what is only that, else danger."""
        if not self.firing:
            return "good"
        return "warning" if self.severity in ("warning", "warn", "info") else "danger"


def clipped(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, shortened with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def folded(notification: Notification) -> list[list[Alert]]:
    """The alerts as a reader counts them, firing ones first: those that differ in details alone are one."""
    things: dict[tuple[object, ...], list[Alert]] = {}
    for alert in (*notification.firing, *notification.resolved):
        identity = tuple(pair for pair in alert.labels if pair[0] not in notification.detail_labels)
        things.setdefault((alert.state, identity), []).append(alert)
    return list(things.values())


def view_of(alerts: Sequence[Alert], notification: Notification) -> AlertView:
    """One view of alerts that differ in details alone."""
    worst = max(alerts, key=lambda alert: (not math.isnan(_now(alert)), _now(alert)))
    shown = view(worst, notification.sparklines.get(worst.fingerprint, ""))
    if len(alerts) == 1:
        return shown
    return dataclasses.replace(
        shown, details=clipped(_details(alerts, notification.detail_labels) + _span(alerts)), count=len(alerts)
    )


def _now(alert: Alert) -> float:
    """The value that is shown as the present one, NaN where there is none."""
    known = alert.resolved_value if alert.state is AlertState.RESOLVED else alert.value
    return math.nan if known is None else known


def _span(alerts: Sequence[Alert]) -> str:
    """`: 95.2–98.4`, the values of several alerts; nothing where they read alike."""
    values = [value for value in map(_now, alerts) if not math.isnan(value)]
    if not values:
        return ""
    low, high = readable(min(values)), readable(max(values))
    return "" if low == high else f": {low}–{high}"


def _details(alerts: Sequence[Alert], names: Sequence[str]) -> str:
    """`core 0–3, 7 (5)`: the values of each detail label."""
    said = []
    for name in names:
        values = {alert.label[name] for alert in alerts if name in alert.label}
        if len(values) > 1:
            said.append(f"{name} {_listed(values)} ({len(values)})")
    return ", ".join(said)


def _listed(values: Collection[str]) -> str:
    """Whole numbers as spans, other texts as a list."""
    if not all(value.isascii() and value.isdigit() and len(value) < _MOST_DIGITS for value in values):
        return ", ".join(sorted(values))
    runs: list[list[int]] = []
    for number in sorted(map(int, values)):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def view(alert: Alert, sparkline: str = "") -> AlertView:
    """One alert, its texts clipped."""
    labels, annotations = _texts(alert.labels), _texts(alert.annotations)
    unit = unit_of(alert)
    return AlertView(
        name=labels["alertname"],
        status=str(alert.state),
        severity=labels["severity"].lower(),
        summary=annotations["summary"] or annotations["message"] or _named(labels),
        description=annotations["description"],
        labels=labels,
        annotations=annotations,
        server=next((labels[name] for name in _SERVER_LABELS if labels[name]), _UNKNOWN),
        value=readable(alert.value),
        unit=unit if math.isfinite(alert.value) else "",
        resolved_value=_with_unit(alert.resolved_value, unit) if alert.state is AlertState.RESOLVED else "",
        since=alert.fired_at or alert.active_at,
        ended=alert.resolved_at,
        generator_url=alert.generator_url,
        runbook_url=annotations["runbook_url"],
        sparkline=sparkline,
        fingerprint=alert.fingerprint,
    )


def _texts(pairs: Labels) -> Texts:
    return Texts((name, clipped(value)) for name, value in pairs)


def _named(labels: Mapping[str, str]) -> str:
    server = next((labels[name] for name in _SERVER_LABELS if labels.get(name)), "")
    return f"{labels['alertname']} on {server}" if server else labels["alertname"]


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return readable(value) + (unit if math.isfinite(value) else "")


def unit_of(alert: Alert) -> str:
    """What the value counts: the annotation `unit` if there is one, else per cent.

    Where the alert's expression is known and speaks of no percentage, none.
    """
    if "unit" in alert.annotation:
        return clipped(alert.annotation["unit"], 20)
    expression = "".join(parse_qs(urlsplit(alert.generator_url).query).get("g0.expr", ()))
    return "%" if not expression or _PERCENTAGE.search(expression) else ""


def readable(value: float) -> str:
    """A value rounded for reading: 97.3, 0.042, 1.23M."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    size = abs(value)
    if size >= 10_000:
        for prefix in ("k", "M", "G", "T", "P", "E"):
            value /= 1000
            if abs(value) < 999.5:
                return f"{_trimmed(f'{value:.3g}' if abs(value) < 100 else f'{value:.0f}')}{prefix}"
        return f"{value * 1e18:.3g}"
    if size >= 1:
        return _trimmed(f"{value:.1f}")
    return "0" if size == 0 else f"{value:.2g}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
