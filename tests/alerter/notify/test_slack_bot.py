"""The Slack bot: one message for a group, updated in place, its end in the thread, the token kept secret."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest

from alerter.model import DeliveryError
from alerter.notify.slack_bot import SlackBot
from alerter.notify.slack_message import SlackMessage
from tests.alerter.notify.examples import AT, alert, notification, resolved
from tests.alerter.receivers import Drop, FakeSlackApi, Status

MESSAGE = SlackMessage()


class Remembered(dict[str, str]):
    """A memory that outlives a bot."""

    def put(self, key: str, value: str | None) -> None:
        if value is None:
            self.pop(key, None)
        else:
            self[key] = value


@pytest.fixture
def slack() -> Iterator[FakeSlackApi]:
    with FakeSlackApi() as running:
        yield running


def bot(slack: FakeSlackApi, memory: Remembered, token: str = "") -> SlackBot:
    return SlackBot(token or slack.token, MESSAGE, memory, api_url=slack.url, limit_s=2.0, now=lambda: AT)


def test_a_group_is_one_message_that_is_updated_and_ends_in_its_thread(slack: FakeSlackApi) -> None:
    memory = Remembered()
    bot(slack, memory).send(notification(alert("web-01")))
    bot(slack, memory).send(notification(alert("web-01"), alert("web-02"), id="n2"))
    bot(slack, memory).send(notification(resolved("web-01"), resolved("web-02"), id="n3"))
    shown, reply = slack.messages.values()
    assert [request.path for request in slack.requests] == [
        "/chat.postMessage",
        "/chat.update",
        "/chat.update",
        "/chat.postMessage",
    ]
    assert {attachment["color"] for attachment in shown["attachments"]} == {"good"}
    assert reply["thread_ts"] == next(iter(slack.messages))
    assert reply["text"].startswith("✅")
    assert not memory


def test_the_next_incident_of_a_group_is_a_new_message(slack: FakeSlackApi) -> None:
    memory = Remembered()
    for told in (notification(alert()), notification(resolved(), id="n2"), notification(alert(), id="n3")):
        bot(slack, memory).send(told)
    assert [request.path for request in slack.requests][-1] == "/chat.postMessage"
    assert len(memory) == 1


def test_a_message_that_somebody_deleted_is_posted_anew(slack: FakeSlackApi) -> None:
    memory = Remembered()
    bot(slack, memory).send(notification(alert()))
    slack.messages.clear()
    bot(slack, memory).send(notification(alert(value=99.0), id="n2"))
    assert len(slack.messages) == 1


def test_an_end_whose_reply_failed_is_told_once_when_tried_again(slack: FakeSlackApi) -> None:
    memory = Remembered()
    bot(slack, memory).send(notification(alert()))
    slack.script(FakeSlackApi.good, Drop())
    over = notification(resolved(), id="n2")
    with pytest.raises(DeliveryError):
        bot(slack, memory).send(over)
    bot(slack, memory).send(over)
    assert sum("thread_ts" in message for message in slack.messages.values()) == 1


@pytest.mark.parametrize(
    ("answer", "retryable", "wait_s"),
    [
        (Status(200, '{"ok":false,"error":"channel_not_found"}'), False, None),
        (Status(200, '{"ok":false,"error":"not_in_channel"}'), False, None),
        (Status(200, '{"ok":false,"error":"internal_error"}'), True, None),
        (Status(429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "30"}), True, 30.0),
        (Status(500), True, None),
    ],
)
def test_every_refusal_says_whether_to_try_again(
    slack: FakeSlackApi, answer: Status, retryable: bool, wait_s: float | None
) -> None:
    slack.script(answer)
    with pytest.raises(DeliveryError) as caught:
        bot(slack, Remembered()).send(notification())
    assert (caught.value.retryable, caught.value.retry_after_s) == (retryable, wait_s)


def test_the_token_is_in_no_error_and_no_repr(slack: FakeSlackApi) -> None:
    secret = "xoxb-secretsecret"
    wrong = bot(slack, Remembered(), secret)
    slack.script(Status(500, f"Bearer {secret}"))
    for _ in range(2):
        with pytest.raises(DeliveryError) as caught:
            wrong.send(notification())
        shown = "".join((*traceback.format_exception(caught.value), repr(wrong), repr(vars(caught.value))))
        assert secret not in shown
    with pytest.raises(ValueError, match="SLACK_BOT_TOKEN") as refused:
        bot(slack, Remembered(), secret + "\n")
    assert secret not in str(refused.value)
