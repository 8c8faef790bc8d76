"""A notification as Slack's message: the template's view of it, Slack's escaping and Slack's limits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from alerter.model import Alert, AlertState, DeliveryError, Notification
from alerter.notify.json_template import JsonTemplate, TemplateProblem
from alerter.notify.presenting import AlertView, Texts, clipped, folded, view_of

MOST_ATTACHMENTS = 20
HARD_ATTACHMENTS = 100
MOST_TEXT = 4_000


class SlackMessage:
    """Makes messages from a template: the one shipped, or the file of a user.

    Raises TemplateProblem if the template fails on sample notifications, OSError if it cannot be read.
    """

    def __init__(
        self,
        channel: str = "#monitoring",
        username: str = "OpenManager Bot",
        icon_emoji: str = ":robot_face:",
        template: str = "",
    ) -> None:
        self._settings = {"channel": channel, "username": username, "icon_emoji": icon_emoji}
        self._template = JsonTemplate(_source(template), template or "slack.json.j2")
        for sample in _samples():
            self.payload(sample)

    def payload(self, notification: Notification) -> dict[str, Any]:
        """The message's JSON. Raises TemplateProblem."""
        things = folded(notification)
        total = len(things)
        most = total if total <= MOST_ATTACHMENTS else MOST_ATTACHMENTS - 1
        shown = [_escaped(view_of(alerts, notification)) for alerts in things[:most]]
        made = self._template.render(
            {
                **self._settings,
                "alerts": shown,
                "alert": shown[0],
                "total": total,
                "more": total - len(shown),
                "external_url": notification.external_url,
                "group_labels": Texts((name, escaped(value)) for name, value in notification.group_labels),
            }
        )
        if not any(made.get(key) for key in ("text", "attachments", "blocks")):
            raise TemplateProblem(f"{self._template.name}: it makes neither text nor attachments nor blocks")
        return _within_limits(made)


def body_of(message: SlackMessage, notification: Notification) -> bytes:
    """The request's body. Raises DeliveryError, permanent, where the template fails on this notification."""
    reason = ""
    try:
        return json.dumps(message.payload(notification), ensure_ascii=False).encode("utf-8", "replace")
    except TemplateProblem as err:
        reason = str(err)
    raise DeliveryError(f"template: {reason}", retryable=False)


def escaped(text: str) -> str:
    """A text in which Slack sees no markup of its own: no links, no mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped(alert: AlertView) -> AlertView:
    """The view with every value that came from labels and annotations escaped."""
    return dataclasses.replace(
        alert,
        labels=_escaped_texts(alert.labels),
        annotations=_escaped_texts(alert.annotations),
        name=escaped(alert.name),
        severity=escaped(alert.severity),
        summary=escaped(alert.summary),
        description=escaped(alert.description),
        server=escaped(alert.server),
        unit=escaped(alert.unit),
        resolved_value=escaped(alert.resolved_value),
        sparkline=escaped(alert.sparkline),
        details=escaped(alert.details),
        runbook_url=_link(alert.runbook_url),
        generator_url=_link(alert.generator_url),
    )


def _link(url: str) -> str:
    """A URL that may stand between `<` and `|`, "" if it is none."""
    if not url.startswith(("http://", "https://")):
        return ""
    return escaped(url).replace("|", "%7C").replace(" ", "%20")


def _escaped_texts(texts: Mapping[str, str]) -> Texts:
    return Texts((name, escaped(value)) for name, value in texts.items())


def _within_limits(made: dict[str, Any]) -> dict[str, Any]:
    if isinstance(made.get("text"), str):
        made["text"] = clipped(made["text"], MOST_TEXT)
    if isinstance(made.get("attachments"), list):
        made["attachments"] = made["attachments"][:HARD_ATTACHMENTS]
    return made


def _source(template: str) -> str:
    if template:
        try:
            return Path(template).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise TemplateProblem(f"{template}: it is not UTF-8 text") from None
    return (resources.files("alerter.notify") / "slack.json.j2").read_text(encoding="utf-8")


def _samples() -> tuple[Notification, ...]:
    """Notifications of every shape, with every character that a careless template trips over."""
    firing = Alert(
        labels=(("alertname", "HighCPUUsage"), ("server", 'web "01" <&>'), ("severity", "warning")),
        annotations=(("description", "a\nb\\c"), ("summary", 'High "CPU" usage')),
        state=AlertState.FIRING,
        value=97.3,
        active_at=1.0,
        fired_at=2.0,
    )
    resolved = dataclasses.replace(firing, state=AlertState.RESOLVED, resolved_at=3.0, resolved_value=12.5)
    bare = Alert(labels=(("alertname", "Bare"),), annotations=(), state=AlertState.FIRING, value=0.0, active_at=1.0)
    shapes = ((firing,), (resolved,), (bare,), (firing, resolved), (firing,) * (MOST_ATTACHMENTS + 5))
    return tuple(Notification("sample", (), alerts, 4.0) for alerts in shapes)
