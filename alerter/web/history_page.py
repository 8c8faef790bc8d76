"""What happened: the steps of alerts and the messages to receivers, newest first, with a search."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from alerter.state.state import HISTORY_DAYS, Happened
from alerter.web import api
from alerter.web.elements import ago, code, document, labels, marked, table
from exporter.model import format_value


def render(events: Sequence[Happened], sought: str, now: float) -> str:
    """The page of the events that were found for the words `sought`."""
    form = (
        '<form><label>Words, all of them: <input name="q" size="40" placeholder="web-01 slack refused" '
        f'value="{escape(sought)}"></label> <button>Search</button></form>'
    )
    kept = f"<p class=quiet>Kept for {HISTORY_DAYS} days. As JSON: {code('/api/v1/history?q=…&start=…&end=…')}</p>"
    back = '<p><a href="/">Rules and alerts</a></p>'
    return document("History", form + listed(events, now, "Nothing was found.") + kept + back)


def listed(events: Sequence[Happened], now: float, empty: str) -> str:
    """A table of events."""
    rows = [
        (
            f'<span title="{escape(api.rfc3339(event.t))}">{ago(now, event.t)} ago</span>',
            marked(event.what),
            labels(event.labels),
            "" if event.value is None else escape(format_value(event.value)),
            escape(f"{event.receiver}: {event.detail}" if event.receiver else ""),
        )
        for event in events
    ]
    return table("What happened", ("When", "What", "Labels", "Value", "Who was told"), rows, empty)
