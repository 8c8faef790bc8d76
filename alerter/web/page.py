"""The alerter's page: rules with their health, active alerts, silences, and how delivery stands. No script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from alerter.decisions.evaluation import Element
from alerter.loops.group_loop import GroupLoop, Health
from alerter.loops.patience import DeliveryStats
from alerter.model import Alert
from alerter.rules.rules import AlertRule
from alerter.state.silences import Silence
from alerter.web import api
from exporter.duration import format_duration
from exporter.model import Labels, format_value

_MOST_ALERTS = 500
_MOST_TEXT = 300
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#c62828;--warn:#b26a00;--good:#2e7d32}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--warn:#ffb74d;--good:#81c784}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem 1.5rem 4rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;
border-bottom:1px solid var(--line)}th{font-weight:600}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.firing,.err,.down{color:var(--bad);font-weight:600}.pending,.held{color:var(--warn);font-weight:600}
.ok,.up{color:var(--good)}.quiet{opacity:.7}
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page shows. Times are Unix seconds."""

    now: float
    loops: Sequence[GroupLoop]
    receivers: Mapping[str, DeliveryStats]
    silences: Sequence[Silence]
    datasource: str
    datasource_error: str
    reload_error: str
    state_up: bool


def render(facts: Facts) -> str:
    """The whole page."""
    sections = (_state(facts), _alerts(facts), _receivers(facts), _silences(facts), _rules(facts))
    return _document("OpenManager alerter", "".join(sections))


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="15"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1>{body}</body></html>"
    )


def graph(expr: str, elements: Sequence[Element], error: str) -> str:
    """What an expression is now: where the links of alerts lead."""
    rows = [(_labels(element.labels), escape(format_value(element.value))) for element in elements[:_MOST_ALERTS]]
    said = f'<p class="err">{escape(error)}</p>' if error else ""
    title = f"{len(elements)} series now" if elements else "Now"
    table = "" if error else _table(title, ("Labels", "Value"), rows, "Nothing matches.")
    return _document("Expression", f'<p>{_code(expr)}</p>{said}{table}<p><a href="/">Rules and alerts</a></p>')


def _state(facts: Facts) -> str:
    lines = [f"Datasource <code>{escape(facts.datasource)}</code>: {_up(facts.datasource_error)}"]
    if facts.reload_error:
        mistake = escape(facts.reload_error)
        lines.append(f'<span class="err">The rule files have a mistake, the old rules run on:</span> {mistake}')
    if not facts.state_up:
        lines.append('<span class="err">State is not being written</span>; it is kept in memory until it can be.')
    return "".join(f"<p>{line}</p>" for line in lines)


def _up(error: str) -> str:
    return f'<span class="down">does not answer</span> ({escape(error)})' if error else '<span class="up">up</span>'


def _alerts(facts: Facts) -> str:
    alerts = [alert for loop in facts.loops for run in loop.runs for alert in run.state.active]
    shown = sorted(alerts, key=lambda alert: (str(alert.state), alert.labels))[:_MOST_ALERTS]
    rows = [
        (
            _marked(str(alert.state)),
            _labels(alert.labels),
            escape(format_value(alert.value)),
            _ago(facts.now, alert.active_at),
            escape(_clipped(_summary(alert))),
        )
        for alert in shown
    ]
    title = f"Active alerts: {len(shown)} of {len(alerts)}" if len(shown) < len(alerts) else "Active alerts"
    return _table(title, ("State", "Labels", "Value", "Active for", "Summary"), rows, "Nothing is wrong.")


def _summary(alert: Alert) -> str:
    return alert.annotation.get("summary") or alert.annotation.get("description") or ""


def _receivers(facts: Facts) -> str:
    rows = []
    for name, stats in facts.receivers.items():
        state = "held" if stats.held_until else "down" if stats.failing_since else "up"
        failures = ", ".join(f"{reason} {count}" for reason, count in sorted(stats.failures.items())) or "none"
        last = _ago(facts.now, stats.last_sent_at) + " ago" if stats.last_sent_at else "never"
        rows.append(
            (
                escape(name),
                _marked(state),
                str(stats.sent),
                failures,
                str(stats.waiting),
                last,
                escape(stats.last_error),
            )
        )
    heads = ("Receiver", "State", "Accepted", "Failures", "Waiting", "Last accepted", "Last error")
    return _table("Receivers", heads, rows, "None.")


def _silences(facts: Facts) -> str:
    rows = [
        (
            _marked(silence.status(facts.now)),
            _code(", ".join(f'{each.name}{each.type}"{each.value}"' for each in silence.matchers)),
            escape(api.rfc3339(silence.ends_at)),
            escape(silence.created_by),
            escape(silence.comment),
        )
        for silence in sorted(facts.silences, key=lambda silence: silence.ends_at)
        if silence.status(facts.now) != "expired"
    ]
    return _table("Silences", ("State", "Matchers", "Until", "By", "Comment"), rows, "None.")


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
                    _marked(state),
                    f'<span class="{health}">{escape(str(run.health))}</span> {escape(run.last_error)}',
                    _wait(rule),
                    _code(rule.expr),
                    f"{run.took_s * 1_000:.1f} ms" if run.evaluated_at else "not yet",
                )
            )
        every = format_duration(round(loop.group.interval_s * 1_000))
        title = f"Rules: {loop.group.name}, every {every}"
        if loop.stats.missed:
            title += f", {loop.stats.missed} evaluations missed"
        heads = ("Rule", "State", "Health", "For", "Expression", "Took")
        parts.append(_table(title, heads, rows, "No rules.") + f"<p class=quiet>{_code(loop.group.file)}</p>")
    return "".join(parts)


def _wait(rule: object) -> str:
    return format_duration(round(rule.for_s * 1_000)) if isinstance(rule, AlertRule) else ""


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p class=quiet>{escape(empty)}</p>"
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _marked(word: str) -> str:
    return f'<span class="{escape(word)}">{escape(word)}</span>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _labels(labels: Labels) -> str:
    return _code(" ".join(f'{name}="{_clipped(value)}"' for name, value in labels))


def _clipped(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _ago(now: float, t: float) -> str:
    return format_duration(max(0, round(now - t)) * 1_000)
