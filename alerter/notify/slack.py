"""Slack by incoming webhook. Source: api.slack.com, Sending messages using incoming webhooks; Rate limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alerter.model import DeliveryError, Notification
from alerter.notify.answers import LIMIT_S, Answer, Scrubber, is_temporary, retry_after_s
from alerter.notify.posting import Poster
from alerter.notify.slack_message import SlackMessage, body_of

_RETRYABLE_ERRORS = frozenset(
    {"rate_limited", "ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)


class SlackWebhook:
    """Tells one webhook. Its URL is the secret: it is in no error, no log line and no repr.

    Raises ValueError for a URL or a template that cannot be used.
    """

    def __init__(
        self,
        url: str,
        channel: str = "#monitoring",
        username: str = "OpenManager Bot",
        icon_emoji: str = ":robot_face:",
        template: str = "",
        *,
        now: Callable[[], float],
        name: str = "slack",
        limit_s: float = LIMIT_S,
    ) -> None:
        self._name = name
        self._message = SlackMessage(channel, username, icon_emoji, template)
        self._poster = Poster(url, limit_s=limit_s)
        self._now = now

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"SlackWebhook(name={self._name!r})"

    def send(self, notification: Notification) -> None:
        """Returns once Slack has accepted. Raises DeliveryError."""
        answer = self._poster.post(body_of(self._message, notification))
        error = problem(answer, self._poster.scrub, self._now())
        if error is not None:
            raise error


def problem(answer: Answer, scrub: Scrubber, now_s: float) -> DeliveryError | None:
    """Why an answer is no acceptance, None if it is one.

    With the status 200 the message is accepted even if the body broke off: sending it again would double it.
    """
    body = answer.body.strip()
    parsed = answer.json()
    word = scrub(str(parsed.get("error") or "") or ("" if body.startswith("<") else body), 100)
    if 200 <= answer.status < 300:
        if _says_ok(answer, body, parsed):
            return None
        if parsed.get("ok") is False:
            retryable = word in _RETRYABLE_ERRORS
            return _error(answer, word, retryable, now_s)
        return DeliveryError(f"{answer.status}, but the answer is not Slack's", retryable=True, answered=False)
    return _error(answer, word, is_temporary(answer.status), now_s)


def _says_ok(answer: Answer, body: str, parsed: dict[str, Any]) -> bool:
    if not answer.complete and not parsed:
        return True
    return body in ("ok", "") or parsed.get("ok") is True or parsed.get("success") is True


def _error(answer: Answer, word: str, retryable: bool, now_s: float) -> DeliveryError:
    wait = retry_after_s(answer, now_s) if retryable else None
    return DeliveryError(f"{answer.status} {word}".strip(), retryable=retryable, retry_after_s=wait)
