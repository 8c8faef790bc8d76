"""The Slack webhook: the message it sends, what it makes of every answer, and that its URL stays secret."""

from __future__ import annotations

import dataclasses
import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.model import Alert, DeliveryError, Notification
from alerter.notify.json_template import TemplateProblem
from alerter.notify.presenting import readable
from alerter.notify.slack import SlackWebhook
from alerter.notify.slack_message import SlackMessage
from exporter.model import make_labels
from tests.alerter.notify.examples import AT, alert, notification, resolved
from tests.alerter.receivers import Drop, FakeSlack, Fault, Hang, Reset, SlowBody, SlowHead, Status, slack_mistake
from tests.servers import free_port


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as running:
        yield running


def webhook(slack: FakeSlack, limit_s: float = 10.0) -> SlackWebhook:
    return SlackWebhook(slack.webhook, limit_s=limit_s, now=lambda: AT)


def refused(receiver: SlackWebhook, told: Notification | None = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        receiver.send(told or notification())
    return caught.value


def test_the_message_has_the_specified_form(slack: FakeSlack) -> None:
    webhook(slack).send(notification(alert(description="CPU usage is 97.312% on server web-01")))
    [message] = slack.accepted
    assert message["channel"] == "#monitoring"
    assert message["username"] == "OpenManager Bot"
    assert message["icon_emoji"] == ":robot_face:"
    assert message["text"] == "🚨 Critical CPU usage on web-01"
    [attachment] = message["attachments"]
    assert attachment["color"] == "danger"
    assert attachment["fields"] == [
        {"title": "서버", "value": "web-01", "short": True},
        {"title": "현재 값", "value": "97.3%", "short": True},
    ]
    assert attachment["text"] == "CPU usage is 97.312% on server web-01"


def test_a_resolved_alert_is_good_and_shows_the_value_at_that_time() -> None:
    made = SlackMessage().payload(notification(resolved()))
    assert made["text"] == "✅ Critical CPU usage on web-01"
    assert made["attachments"][0]["color"] == "good"
    assert made["attachments"][0]["fields"][1] == {"title": "현재 값", "value": "12.3%", "short": True}
    unknown = SlackMessage().payload(notification(resolved(resolved_value=None)))
    assert unknown["attachments"][0]["fields"][1]["value"] == "–"


@pytest.mark.parametrize(("severity", "color"), [("critical", "danger"), ("warning", "warning"), ("", "danger")])
def test_the_colour_follows_the_severity(severity: str, color: str) -> None:
    made = SlackMessage().payload(notification(alert(severity=severity)))
    assert made["attachments"][0]["color"] == color


def test_labels_and_annotations_are_escaped_and_nothing_else() -> None:
    message = SlackMessage(channel="#a&b", username="<bot>")
    made = message.payload(
        notification(alert("<!channel>", description="a < b & c > d", url="http://x.example/?a=1&b=2"))
    )
    assert (made["channel"], made["username"]) == ("#a&b", "<bot>")
    assert made["attachments"][0]["fields"][0]["value"] == "&lt;!channel&gt;"
    assert made["attachments"][0]["text"].startswith("a &lt; b &amp; c &gt; d\n<http://x.example/?a=1&amp;b=2|graph>")


def test_more_alerts_than_slack_likes_end_in_how_many_more() -> None:
    alerts = [alert(f"web-{i:03}") for i in range(300)]
    made = SlackMessage().payload(notification(*alerts))
    assert len(made["attachments"]) == 20
    assert made["attachments"][-1]["text"] == "and 281 more"
    assert made["text"] == "🚨 Critical CPU usage on web-000 (+299 more)"
    assert slack_mistake(made) == ""


def test_firing_alerts_come_before_resolved_ones() -> None:
    made = SlackMessage().payload(notification(resolved("web-02"), alert("web-01")))
    assert [attachment["color"] for attachment in made["attachments"]] == ["danger", "good"]
    assert made["text"].startswith("🚨")


def test_a_label_of_a_megabyte_becomes_a_short_message() -> None:
    made = SlackMessage().payload(notification(alert("x" * 1_000_000, summary="y" * 1_000_000)))
    assert len(str(made)) < 10_000
    assert slack_mistake(made) == ""


@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_message_that_slack_takes(server: str, summary: str, description: str) -> None:
    made = MESSAGE.payload(notification(alert(server, summary=summary, description=description)))
    assert slack_mistake(made) == ""


MESSAGE = SlackMessage()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (97.312, "97.3"),
        (95.0, "95"),
        (100.0, "100"),
        (0.0423, "0.042"),
        (0.0, "0"),
        (12_345.0, "12.3k"),
        (999_999.0, "1M"),
        (-5e9, "-5G"),
        (123_456_789.0, "123M"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
    ],
)
def test_a_value_is_rounded_for_reading(value: float, shown: str) -> None:
    assert readable(value) == shown


def test_the_unit_is_per_cent_unless_the_alert_says_otherwise() -> None:
    def shown(url: str = "", **annotations: str) -> str:
        made = SlackMessage().payload(notification(alert(value=3.0, url=url, annotations=annotations)))
        return str(made["attachments"][0]["fields"][1]["value"])

    assert shown() == "3%"
    assert shown(unit="s") == "3s"
    assert shown(url="http://x/graph?g0.expr=up+%3D%3D+0") == "3"
    assert shown(url="http://x/graph?g0.expr=up%7Binstance%3D%22a%3A9100%22%7D+%3D%3D+0") == "3"
    assert shown(url="http://x/graph?g0.expr=100+-+idle+%3E+80") == "3%"
    assert shown(url="http://x/graph?g0.expr=errors+%2F+all+*+100+%3E+5") == "3%"
    assert shown(url="http://x/graph?g0.expr=cpu_usage_percent+%3E+80") == "3%"


def test_a_template_of_the_user_replaces_ours(tmp_path: Path) -> None:
    file = tmp_path / "mine.j2"
    file.write_text('{"text": "{{ alert.summary }} {{ alert.labels.server }} {{ alert.value }}%"}')
    made = SlackMessage(template=str(file)).payload(notification(alert(summary='say "hi"\\')))
    assert made == {"text": 'say "hi"\\ web-01 97.3%'}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{"text": "{{ alert.summary "}', "mine.j2:1: "),
        ('{"text": {{ alert.summary }}}', "is not JSON"),
        ('["x"]', "not a JSON object"),
        ('{"channel": "x"}', "neither text nor attachments nor blocks"),
        ('{"text": "{{ alert.sumary }}"}', "sumary"),
        ('{"text": "{{ nothing }}"}', "nothing"),
        ("{{ ().__class__.__bases__ }}", "unsafe"),
    ],
)
def test_a_template_that_cannot_work_is_refused_when_loaded(tmp_path: Path, source: str, reason: str) -> None:
    file = tmp_path / "mine.j2"
    file.write_text(source)
    with pytest.raises(TemplateProblem, match=r"mine\.j2") as caught:
        SlackMessage(template=str(file))
    assert reason in str(caught.value)


def test_a_template_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.j2"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateProblem, match="not UTF-8"):
        SlackMessage(template=str(file))
    with pytest.raises(FileNotFoundError):
        SlackMessage(template=str(tmp_path / "none.j2"))


def test_ten_thousand_alerts_are_told_in_no_time() -> None:
    many = notification(*(alert(f"web-{i}") for i in range(10_000)))
    started = time.process_time()
    made = MESSAGE.payload(many)
    assert time.process_time() - started < 0.5
    assert made["attachments"][-1]["text"] == "and 9981 more"


def test_a_template_that_fails_on_one_notification_is_a_permanent_error(slack: FakeSlack, tmp_path: Path) -> None:
    file = tmp_path / "mine.j2"
    file.write_text('{"text": "{{ 1 // (0 if alert.server == "web-99" else 1) }}"}')
    receiver = SlackWebhook(slack.webhook, template=str(file), now=lambda: AT)
    error = refused(receiver, notification(alert("web-99")))
    assert not error.retryable
    assert "ZeroDivisionError" in str(error)
    assert slack.requests == []


@pytest.mark.parametrize(
    ("answer", "retryable", "wait_s", "reason"),
    [
        (Status(400, "invalid_payload"), False, None, "400 invalid_payload"),
        (Status(403, "action_prohibited"), False, None, "403 action_prohibited"),
        (Status(404, "no_service"), False, None, "404 no_service"),
        (Status(410, "channel_is_archived"), False, None, "410 channel_is_archived"),
        (Status(302, "", {"Location": "http://127.0.0.1:1/"}), False, None, "302"),
        (Status(429, "", {"Retry-After": "7"}), True, 7.0, "429"),
        (Status(429, "", {"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}), True, 30.0, "429"),
        (Status(429, '{"retry_after":1,"ok":false,"error":"rate_limited"}'), True, 1.0, "429 rate_limited"),
        (Status(429, "slow down"), True, None, "429 slow down"),
        (Status(429, "", {"Retry-After": "soon"}), True, None, "429"),
        (Status(429, "", {"Retry-After": "-5"}), True, 0.0, "429"),
        (Status(429, "", {"Retry-After": "1e9"}), True, 3600.0, "429"),
        (Status(500, "<html>oops</html>"), True, None, "500"),
        (Status(503, "", {"Retry-After": "3"}), True, 3.0, "503"),
        (Status(408), True, None, "408"),
        (Status(500, "[" * 60_000), True, None, "500 " + "[" * 100),
        (Status(429, "", {"Retry-After": "Tue, 14 Nov 99999999999 22:13:50 GMT"}), True, None, "429"),
        (Status(200, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "2"}), True, 2.0, "200 ratelimited"),
        (Status(200, '{"ok":false,"error":"invalid_auth"}'), False, None, "200 invalid_auth"),
        (Status(200, "<html>log in</html>"), True, None, "200, but the answer is not Slack's"),
    ],
)
def test_every_refusal_says_whether_to_try_again(
    slack: FakeSlack, answer: Status, retryable: bool, wait_s: float | None, reason: str
) -> None:
    slack.script(answer)
    error = refused(webhook(slack))
    assert (error.retryable, error.retry_after_s, str(error)) == (retryable, wait_s, reason)
    assert slack.accepted == []


@pytest.mark.parametrize("answer", [Status(200, "ok"), Status(200, ""), Status(200, '{"ok":true}')])
def test_every_acceptance_is_one(slack: FakeSlack, answer: Status) -> None:
    slack.script(answer)
    webhook(slack).send(notification())
    assert len(slack.requests) == 1


@pytest.mark.parametrize("fault", [Hang(), SlowHead(), Drop(), Reset(), Drop(accepts=True)])
def test_a_connection_that_fails_is_tried_again_later(slack: FakeSlack, fault: Fault) -> None:
    slack.script(fault)
    receiver = webhook(slack, limit_s=0.5)
    started = time.monotonic()
    error = refused(receiver)
    assert error.retryable
    assert time.monotonic() - started < 3
    receiver.send(notification())
    assert len(slack.requests) == 2


def test_a_message_accepted_with_a_body_that_never_ends_is_not_sent_again(slack: FakeSlack) -> None:
    slack.script(SlowBody())
    started = time.monotonic()
    webhook(slack, limit_s=0.5).send(notification())
    assert time.monotonic() - started < 3
    assert len(slack.accepted) == 1


def test_a_receiver_that_is_not_there_is_tried_again_later() -> None:
    error = refused(SlackWebhook(f"http://127.0.0.1:{free_port()}/services/T0/B0/secretsecret", now=lambda: AT))
    assert error.retryable
    assert "refused" in str(error)


@pytest.mark.parametrize("fault", [Status(404, "echo"), Status(500, "echo"), Hang(), Drop(), Reset()])
def test_the_webhooks_url_is_in_no_error_and_no_log(
    slack: FakeSlack, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    if isinstance(fault, Status):
        fault = Status(fault.status, f"cannot POST {slack.webhook} at {slack.path} token {slack.path.split('/')[-1]}")
    slack.script(fault)
    receiver = webhook(slack, limit_s=0.4)
    with caplog.at_level(logging.DEBUG):
        error = refused(receiver)
    shown = "".join((*traceback.format_exception(error), caplog.text, repr(receiver), repr(vars(error)), repr(error)))
    chained: BaseException | None = error
    while chained is not None:
        shown += repr(chained)
        chained = chained.__cause__ or chained.__context__
    for secret in (slack.path, *slack.path.split("/")[2:]):
        assert secret not in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/x",
        "http://a:99999/secretsecret",
        "",
        "hooks.slack.com/services/secretsecret",
        "ftp://secretsecret/x",
        "http://",
        "http://a b",
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="not an http or https URL") as caught:
        SlackWebhook(url, now=lambda: AT)
    assert "secretsecret" not in str(caught.value)


def test_the_cores_of_a_server_are_one_attachment_that_names_them() -> None:
    cores = [(0, 97.3), (1, 99.8), (2, 95.2), (5, 96.0), (6, float("nan"))]
    firing = [with_core(alert(value=value, description=f"{value} on core {core}"), core) for core, value in cores]
    ended = [with_core(resolved(resolved_value=value), core) for core, value in ((3, 10.0), (4, 12.0))]
    told = dataclasses.replace(notification(*firing, *ended, alert("web-02")), detail_labels=("core",))
    made = SlackMessage().payload(told)
    assert made["text"] == "🚨 Critical CPU usage on web-01 (+2 more)"
    fields = [{each["title"]: each["value"] for each in shown["fields"]} for shown in made["attachments"]]
    assert fields == [
        {"서버": "web-01", "현재 값": "99.8%", "상세": "core 0–2, 5–6 (5): 95.2–99.8"},
        {"서버": "web-02", "현재 값": "97.3%"},
        {"서버": "web-01", "현재 값": "12%", "상세": "core 3–4 (2): 10–12"},
    ]
    assert made["attachments"][0]["text"] == "99.8 on core 1"


def with_core(one: Alert, core: int) -> Alert:
    return dataclasses.replace(one, labels=make_labels({**one.label, "core": str(core)}))
