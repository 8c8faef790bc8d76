"""The alerter's page: rules with their health, active alerts, silences, and how delivery stands. No script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from alerter.decisions.evaluation import Element
from alerter.loops.group_loop import GroupLoop, Health
from alerter.loops.patience import DeliveryStats
from alerter.model import Alert, AlertState
from alerter.rules.rules import AlertRule
from alerter.state.silences import Silence
from alerter.state.state import Happened
from alerter.web import api
from alerter.web.elements import ago, clipped, code, document, labels, marked, table
from alerter.web.history_page import listed
from exporter.duration import format_duration
from exporter.model import Labels, format_value

_MOST_ALERTS = 500
_URGENCY = {"critical": 0, "page": 0, "info": 2, "none": 3}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page shows. Times are Unix seconds. `quiet`: why nobody is told of an alert, by its labels."""

    now: float
    loops: Sequence[GroupLoop]
    alerts: Sequence[Alert]
    quiet: Mapping[Labels, str]
    receivers: Mapping[str, DeliveryStats]
    silences: Sequence[Silence]
    recent: Sequence[Happened]
    datasource: str
    datasource_error: str
    reload_error: str
    state_up: bool
    standing_by: bool


def render(facts: Facts) -> str:
    """The whole page."""
    happened = (
        listed(facts.recent, facts.now, "Nothing yet.") + '<p><a href="/history">All of it, with a search</a></p>'
    )
    sections = (_state(facts), _failing(facts), _alerts(facts), _receivers(facts), _silences(facts), happened)
    return document("OpenManager alerter", "".join(sections) + _rules(facts), refresh_s=15)


def graph(expr: str, elements: Sequence[Element], error: str) -> str:
    """What an expression is now: where the links of alerts lead."""
    rows = [(labels(element.labels), escape(format_value(element.value))) for element in elements[:_MOST_ALERTS]]
    said = f'<p class="err">{escape(error)}</p>' if error else ""
    title = f"{len(elements)} series now" if elements else "Now"
    found = "" if error else table(title, ("Labels", "Value"), rows, "Nothing matches.")
    return document("Expression", f'<p>{code(expr)}</p>{said}{found}<p><a href="/">Rules and alerts</a></p>')


def _state(facts: Facts) -> str:
    lines = ["Another alerter leads: this one stands by and knows nothing of its alerts."] if facts.standing_by else []
    lines += [_summed_up(facts)]
    lines += [f"Datasource <code>{escape(facts.datasource)}</code>: {_up(facts.datasource_error)}"]
    if facts.reload_error:
        mistake = escape(facts.reload_error)
        lines.append(f'<span class="err">The rule files have a mistake, the old rules run on:</span> {mistake}')
    if not facts.state_up:
        lines.append('<span class="err">State is not being written</span>; it is kept in memory until it can be.')
    return "".join(f"<p>{line}</p>" for line in lines)


def _up(error: str) -> str:
    return f'<span class="down">does not answer</span> ({escape(error)})' if error else '<span class="up">up</span>'


def _alerts(facts: Facts) -> str:
    order = sorted(facts.alerts, key=lambda alert: (str(alert.state), _URGENCY.get(_severity(alert), 1), alert.labels))
    shown = order[:_MOST_ALERTS]
    rows = [
        (
            f"{marked(str(alert.state))} {facts.quiet.get(alert.labels, '')}",
            labels(alert.labels),
            escape(format_value(alert.value)),
            ago(facts.now, alert.active_at),
            escape(clipped(_summary(alert))),
        )
        for alert in shown
    ]
    title = f"Active alerts: {len(shown)} of {len(order)}" if len(shown) < len(order) else "Active alerts"
    return table(title, ("State", "Labels", "Value", "Active for", "Summary"), rows, "Nothing is wrong.")


def _severity(alert: Alert) -> str:
    return alert.label.get("severity", "")


def _summed_up(facts: Facts) -> str:
    """All of it in one line."""
    states = [alert.state for alert in facts.alerts]
    failing = sum(run.health is Health.ERR for loop in facts.loops for run in loop.runs)
    down = sum(stats.failing_since is not None for stats in facts.receivers.values())
    counts = (
        (states.count(AlertState.FIRING), "firing", "firing"),
        (states.count(AlertState.PENDING), "pending", "pending"),
        (failing, "rule failing" if failing == 1 else "rules failing", "err"),
        (down, "receiver down" if down == 1 else "receivers down", "down"),
    )
    return ", ".join(
        f'<span class="{kind if count else "quiet"}">{count} {what}</span>' for count, what, kind in counts
    )


def _failing(facts: Facts) -> str:
    """The rules that cannot be evaluated, where one has to look first."""
    rows = [
        (escape(rule.name), escape(loop.group.name), escape(clipped(run.last_error)))
        for loop in facts.loops
        for rule, run in zip(loop.group.rules, loop.runs, strict=True)
        if run.health is Health.ERR
    ]
    return table("Failing rules", ("Rule", "Group", "Error"), rows, "") if rows else ""


def _summary(alert: Alert) -> str:
    return alert.annotation.get("summary") or alert.annotation.get("description") or ""


def _receivers(facts: Facts) -> str:
    rows = []
    for name, stats in facts.receivers.items():
        state = "held" if stats.held_until else "down" if stats.failing_since else "up"
        failures = ", ".join(f"{reason} {count}" for reason, count in sorted(stats.failures.items())) or "none"
        last = ago(facts.now, stats.last_sent_at) + " ago" if stats.last_sent_at else "never"
        rows.append(
            (
                escape(name),
                marked(state),
                str(stats.sent),
                failures,
                str(stats.waiting),
                last,
                escape(stats.last_error),
            )
        )
    heads = ("Receiver", "State", "Accepted", "Failures", "Waiting", "Last accepted", "Last error")
    return table("Receivers", heads, rows, "None.")


def _silences(facts: Facts) -> str:
    rows = [
        (
            marked(silence.status(facts.now)),
            code(", ".join(f'{each.name}{each.type}"{each.value}"' for each in silence.matchers)),
            escape(api.rfc3339(silence.ends_at)),
            escape(silence.created_by),
            escape(silence.comment),
        )
        for silence in sorted(facts.silences, key=lambda silence: silence.ends_at)
        if silence.status(facts.now) != "expired"
    ]
    return table("Silences", ("State", "Matchers", "Until", "By", "Comment"), rows, "None.")


def _rules(facts: Facts) -> str:
    parts = []
    for loop in facts.loops:
        rows = []
        for rule, run in zip(loop.group.rules, loop.runs, strict=True):
            state = api.rule_state(run.state) if isinstance(rule, AlertRule) else "recording"
            health = "ok" if run.health is Health.OK else "err" if run.health is Health.ERR else "quiet"
            rows.append(
                (
                    escape(rule.name),
                    marked(state),
                    f'<span class="{health}">{escape(str(run.health))}</span> {escape(run.last_error)}',
                    _wait(rule),
                    code(rule.expr),
                    f"{run.took_s * 1_000:.1f}\u00a0ms" if run.evaluated_at else "not yet",
                )
            )
        every = format_duration(round(loop.group.interval_s * 1_000))
        title = f"Rules: {loop.group.name}, every {every}"
        if loop.stats.missed:
            title += f", {loop.stats.missed} evaluations missed"
        heads = ("Rule", "State", "Health", "For", "Expression", "Took")
        parts.append(table(title, heads, rows, "No rules.") + f"<p class=quiet>{code(loop.group.file)}</p>")
    return "".join(parts)


def _wait(rule: object) -> str:
    return format_duration(round(rule.for_s * 1_000)) if isinstance(rule, AlertRule) else ""
