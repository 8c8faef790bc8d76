"""Slack by bot token: one message for each group, updated in place, its end told in its thread.

Source: api.slack.com, chat.postMessage, chat.update; an answer with the status 200 and `"ok": false` is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from alerter.model import DeliveryError, Notification, fingerprint
from alerter.notify.answers import LIMIT_S
from alerter.notify.json_template import TemplateProblem
from alerter.notify.posting import Poster
from alerter.notify.slack import problem
from alerter.notify.slack_message import SlackMessage

API_URL = "https://slack.com/api"
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "update_failed"})
"""Slack's words for a message that cannot be updated any more: a new one takes its place."""


class Memory(Protocol):
    """Where the message of each group is remembered, across restarts. Keys and values are short texts."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str | None) -> None: ...


class SlackBot:
    """Tells a channel. The token is the secret: it is in no error, no log line and no repr.

    Raises ValueError for a token, a URL or a template that cannot be used.
    """

    def __init__(
        self,
        token: str,
        message: SlackMessage,
        memory: Memory,
        *,
        now: Callable[[], float],
        api_url: str = API_URL,
        name: str = "slack-bot",
        limit_s: float = LIMIT_S,
    ) -> None:
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise ValueError("SLACK_BOT_TOKEN: it holds characters that no token has")
        self._name = name
        self._message = message
        self._memory = memory
        self._now = now
        headers = {"Authorization": f"Bearer {token}"}
        self._methods = {
            method: Poster(f"{api_url.rstrip('/')}/{method}", limit_s=limit_s, headers=headers, secrets=(token,))
            for method in ("chat.postMessage", "chat.update")
        }

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"SlackBot(name={self._name!r})"

    def send(self, notification: Notification) -> None:
        """Returns once Slack has accepted. Raises DeliveryError.

        Tried again after a failure in the middle, it updates the same message: nothing is told twice but the
        end of a group, where Slack accepted it and the answer was lost.
        """
        key = fingerprint((*notification.group_labels, ("receiver", self._name)))
        payload = self._payload(notification)
        place = self._memory.get(key)
        if place is None or not self._updated(payload, place):
            place = self._posted(payload)
            self._memory.put(key, place if notification.firing else None)
        elif not notification.firing:
            self._reply(payload, place)
            self._memory.put(key, None)

    def _payload(self, notification: Notification) -> dict[str, Any]:
        try:
            return self._message.payload(notification)
        except TemplateProblem as err:
            reason = str(err)
        raise DeliveryError(f"template: {reason}", retryable=False)

    def _posted(self, payload: dict[str, Any]) -> str | None:
        """Post a new message; returns its place, `CHANNEL TS`, None where the answer does not tell."""
        made = self._call("chat.postMessage", payload)
        return f"{made['channel']} {made['ts']}" if made.get("channel") and made.get("ts") else None

    def _updated(self, payload: dict[str, Any], place: str) -> bool:
        """Whether the message was still there to be updated."""
        channel, _, ts = place.partition(" ")
        shown = {name: value for name, value in payload.items() if name in ("text", "attachments", "blocks")}
        try:
            self._call("chat.update", {**shown, "channel": channel, "ts": ts})
        except DeliveryError as err:
            if str(err).rpartition(" ")[2] not in _GONE:
                raise
            return False
        return True

    def _reply(self, payload: dict[str, Any], place: str) -> None:
        channel, _, ts = place.partition(" ")
        reply = {**payload, "channel": channel, "thread_ts": ts}
        reply.pop("attachments", None)
        reply.pop("blocks", None)
        if reply.get("text"):
            self._call("chat.postMessage", reply)

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        poster = self._methods[method]
        answer = poster.post(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
        error = problem(answer, poster.scrub, self._now())
        if error is not None:
            raise error
        return answer.json()
