"""Datadog: events and series as the published schemas want them, and what becomes of every answer."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.model import DeliveryError
from alerter.notify.datadog_checks import DatadogChecks
from alerter.notify.datadog_client import DatadogClient, api_url
from alerter.notify.datadog_events import DatadogEvents, event_of
from alerter.notify.datadog_names import metric, tag, tags
from alerter.notify.datadog_series import MOST_BYTES, Counts, DatadogSeries, Point, lines, payloads
from tests.alerter.notify.examples import AT, alert, notification, resolved
from tests.alerter.receivers import Drop, FakeDatadog, Fault, Hang, Reset, SlowBody, SlowHead, Status
from tests.conftest import SHARED
from tests.servers import free_port

SCHEMAS = SHARED / "data/datadog-v1-v2-schemas.json"


@pytest.fixture
def datadog() -> Iterator[FakeDatadog]:
    with FakeDatadog(schemas=SCHEMAS if SCHEMAS.exists() else None) as running:
        yield running


def client(datadog: FakeDatadog, limit_s: float = 10.0) -> DatadogClient:
    return DatadogClient(datadog.key, datadog.url, lambda: AT, limit_s)


def events(datadog: FakeDatadog, limit_s: float = 10.0) -> DatadogEvents:
    return DatadogEvents(client(datadog, limit_s))


def series(datadog: FakeDatadog) -> DatadogSeries:
    return DatadogSeries(client(datadog), lambda: AT)


def cpu(server: str, value: float = 75.3, t_s: float = AT) -> Point:
    return Point("openmanager.cpu.usage", {"server": server}, value, t_s)


def test_a_firing_alert_becomes_one_event_of_the_specified_form(datadog: FakeDatadog) -> None:
    told = alert(description="CPU usage is 97.3%")
    events(datadog).send(notification(told))
    [event] = datadog.events
    assert event["title"] == "[Firing] Critical CPU usage on web-01"
    assert event["alert_type"] == "error"
    assert event["priority"] == "normal"
    assert event["aggregation_key"] == told.fingerprint
    assert event["date_happened"] == int(AT - 60)
    assert event["host"] == "openmanager-v5"
    assert "현재 값: 97.3%" in event["text"]
    assert {"server:web-01", "env:production", "alertname:criticalcpuusage", "severity:critical"} <= set(event["tags"])


def test_the_resolve_has_the_same_key_and_is_a_success(datadog: FakeDatadog) -> None:
    events(datadog).send(notification(alert()))
    events(datadog).send(notification(resolved(), id="n2"))
    firing, over = datadog.events
    assert firing["aggregation_key"] == over["aggregation_key"]
    assert over["alert_type"] == "success"
    assert over["date_happened"] == int(AT)
    assert "현재 값: 12.3% (경보 때 97.3%)" in over["text"]


@pytest.mark.parametrize(
    ("severity", "kind", "priority"),
    [
        ("warning", "warning", "normal"),
        ("info", "info", "low"),
        ("critical", "error", "normal"),
        ("", "error", "normal"),
    ],
)
def test_the_kind_of_event_follows_the_severity(severity: str, kind: str, priority: str) -> None:
    event = event_of(alert(severity=severity), AT, "h", "e")
    assert (event.alert_type, event.priority) == (kind, priority)


def test_an_event_told_late_is_dated_within_what_datadog_takes() -> None:
    event = event_of(alert(), AT + 7 * 86_400, "h", "e")
    assert AT + 7 * 86_400 - event.date_happened < 18 * 3600


def test_a_huge_alert_fits_an_event(datadog: FakeDatadog) -> None:
    events(datadog).send(notification(alert("x" * 1_000_000, summary="y" * 1_000_000, description="z" * 1_000_000)))
    [event] = datadog.events
    assert len(event["text"]) <= 4_000
    assert len(event["title"]) <= 100
    assert all(len(each) <= 200 for each in event["tags"])


def test_what_was_accepted_of_a_notification_is_not_sent_again(datadog: FakeDatadog) -> None:
    told = notification(alert("web-01"), alert("web-02"), alert("web-03"))
    receiver = events(datadog)
    datadog.script(FakeDatadog.good)
    datadog.script(Status(500))
    with pytest.raises(DeliveryError):
        receiver.send(told)
    receiver.send(told)
    assert len(datadog.requests) == 4
    assert ["web-02" in event["title"] for event in datadog.events] == [True, False]
    receiver.send(told)
    assert len(datadog.requests) == 7


def test_alerts_become_service_checks_in_one_request(datadog: FakeDatadog) -> None:
    told = notification(alert("web-01"), alert("web-02", severity="warning"), resolved("web-03"))
    DatadogChecks(client(datadog)).send(told)
    assert len(datadog.requests) == 1
    first, second, third = datadog.checks
    assert first["check"] == "openmanager.alert"
    assert first["host_name"] == "openmanager-v5"
    assert first["timestamp"] == int(AT)
    assert first["message"] == "Critical CPU usage on web-01 (97.3%)"
    assert [check["status"] for check in (first, second, third)] == [2, 1, 0]
    assert "server:web-03" in third["tags"]


def test_series_have_the_specified_form(datadog: FakeDatadog) -> None:
    series(datadog).send([cpu("web-01"), cpu("web-02", 12.0), cpu("web-01", 76.0, AT + 15)])
    first, second = datadog.series
    assert first == {
        "metric": "openmanager.cpu.usage",
        "points": [[AT, 75.3], [AT + 15, 76.0]],
        "tags": ["server:web-01", "env:production"],
        "host": "openmanager-v5",
        "type": "gauge",
    }
    assert second["tags"] == ["server:web-02", "env:production"]
    assert datadog.requests[0].headers["content-encoding"] == "deflate"


def test_points_that_datadog_would_lose_are_counted_and_not_sent(datadog: FakeDatadog) -> None:
    sender = series(datadog)
    times = [AT - 3601, AT - 3600, AT + 600, AT + 601]
    values = [math.nan, math.inf, -math.inf]
    sender.send([*(cpu("a", 1.0, t) for t in times), *(cpu("a", value) for value in values), Point("가", {}, 1.0, AT)])
    assert [point[0] for point in datadog.series[0]["points"]] == [AT - 3600, AT + 600]
    assert sender.stats() == Counts(sent=2, not_finite=3, out_of_time=2, unnameable=1)


def test_nothing_to_send_sends_nothing(datadog: FakeDatadog) -> None:
    series(datadog).send([cpu("a", math.nan)])
    assert datadog.requests == []


def test_many_series_go_in_payloads_within_the_limit(datadog: FakeDatadog) -> None:
    found = lines([cpu(f"server-{i}-{'x' * 150}") for i in range(20_000)], "production")
    split = list(payloads(found))
    assert sum(map(len, split)) == 20_000
    assert len(split) > 1
    assert all(sum(line.size for line in payload) <= MOST_BYTES for payload in split)
    sender = series(datadog)
    sender.send([cpu(f"server-{i}") for i in range(2_000)])
    assert all(len(request.body) <= MOST_BYTES for request in datadog.requests)
    assert len(datadog.series) == sender.stats().sent == 2_000


def test_a_payload_refused_as_too_large_goes_in_halves(datadog: FakeDatadog) -> None:
    datadog.script(Status(413, '{"errors":["Payload too large"]}'))
    series(datadog).send([cpu(f"server-{i}") for i in range(5)])
    assert [len(body["series"]) for body in datadog.accepted] == [2, 3]


@pytest.mark.parametrize(
    ("answer", "retryable", "wait_s", "reason"),
    [
        (Status(400, '{"errors":["bad tag"]}'), False, None, "400 bad tag"),
        (Status(401, '{"errors":["Unauthorized"]}'), False, None, "401 Unauthorized"),
        (Status(403, '{"errors":["Forbidden"]}'), False, None, "403 Forbidden"),
        (Status(404), False, None, "404 Not Found"),
        (Status(301, "", {"Location": "http://127.0.0.1:1/"}), False, None, "301 Moved Permanently"),
        (Status(408, '{"errors":["timeout"]}'), True, None, "408 timeout"),
        (Status(413, '{"errors":["too large"]}'), False, None, "413 too large"),
        (Status(429, '{"errors":["limit"]}', {"X-RateLimit-Reset": "9"}), True, 9.0, "429 limit"),
        (Status(429, '{"errors":["limit"]}', {"Retry-After": "4"}), True, 4.0, "429 limit"),
        (Status(429, '{"errors":["limit"]}'), True, None, "429 limit"),
        (Status(500, "<html>"), True, None, "500 Internal Server Error"),
        (Status(503, "", {"Retry-After": "2"}), True, 2.0, "503 Service Unavailable"),
    ],
)
def test_every_refusal_says_whether_to_try_again(
    datadog: FakeDatadog, answer: Status, retryable: bool, wait_s: float | None, reason: str
) -> None:
    datadog.script(answer, answer)
    with pytest.raises(DeliveryError) as event_refused:
        events(datadog).send(notification())
    with pytest.raises(DeliveryError) as series_refused:
        series(datadog).send([cpu("a")])
    for error in (event_refused.value, series_refused.value):
        assert (error.retryable, error.retry_after_s, str(error)) == (retryable, wait_s, reason)
    assert datadog.accepted == []
    assert len(datadog.requests) == 2


@pytest.mark.parametrize("fault", [Hang(), SlowHead(), Drop(), Reset(), Drop(accepts=True)])
def test_a_connection_that_fails_is_tried_again_later(datadog: FakeDatadog, fault: Fault) -> None:
    datadog.script(fault)
    receiver = events(datadog, limit_s=0.5)
    started = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        receiver.send(notification())
    assert caught.value.retryable
    assert time.monotonic() - started < 3
    receiver.send(notification())
    assert len(datadog.requests) == 2


@pytest.mark.parametrize("answer", [SlowBody(), Status(202, "<html>"), Status(202, ""), Status(202, '{"event": 5}')])
def test_an_event_accepted_with_an_odd_body_is_not_sent_again(datadog: FakeDatadog, answer: Fault) -> None:
    datadog.script(answer)
    started = time.monotonic()
    events(datadog, limit_s=0.5).send(notification())
    assert time.monotonic() - started < 3
    assert len(datadog.requests) == 1


def test_a_receiver_that_is_not_there_is_tried_again_later() -> None:
    absent = DatadogClient("k" * 32, f"http://127.0.0.1:{free_port()}", lambda: AT)
    with pytest.raises(DeliveryError) as caught:
        DatadogEvents(absent).send(notification())
    assert caught.value.retryable


def test_a_wrong_key_is_a_permanent_error_that_does_not_show_it(datadog: FakeDatadog) -> None:
    secret = "s3cr3t" * 5
    wrong = DatadogClient(secret, datadog.url, lambda: AT)
    datadog.script(Status(403, f'{{"errors":["Forbidden: {secret}"]}}'))
    with pytest.raises(DeliveryError) as caught:
        DatadogEvents(wrong).send(notification())
    assert not caught.value.retryable
    shown = "".join((*traceback.format_exception(caught.value), repr(wrong), repr(vars(caught.value))))
    assert secret not in shown


@pytest.mark.parametrize("key", ["", "with space in", "line\nfeed-secret", "한글"])
def test_a_key_that_can_be_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="DATADOG_API_KEY") as caught:
        DatadogClient(key, "http://127.0.0.1:1", lambda: AT)
    assert not key or key not in str(caught.value)


def test_the_endpoint_follows_the_site_unless_one_is_given() -> None:
    assert api_url(None) == "https://api.datadoghq.com"
    assert api_url("datadoghq.eu") == "https://api.datadoghq.eu"
    assert api_url("datadoghq.eu", "http://127.0.0.1:9/") == "http://127.0.0.1:9"
    for site in ("evil/path", "a b", "a@b"):
        with pytest.raises(ValueError, match="DD_SITE"):
            api_url(site)


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [
        ("server", "web-01", "server:web-01"),
        ("Server", "WEB 01", "server:web_01"),
        ("__name__", "cpu", "name_:cpu"),
        ("mount", "/", "mount:/"),
        ("1st", "x", "st:x"),
        ("a", "", "a"),
        ("a", "한글", "a:한글"),
        ("a", "b,c;d=e", "a:b_c_d_e"),
        ("", "", ""),
    ],
)
def test_tags_are_as_datadog_keeps_them(name: str, value: str, made: str) -> None:
    assert tag(name, value) == made


@given(st.text(), st.text())
def test_every_tag_is_one_that_datadog_keeps_as_it_is(name: str, value: str) -> None:
    made = tag(name, value)
    assert len(made) <= 200
    assert made == made.lower() or not made.isascii()
    assert not made or made[0].isalpha()
    assert not made.endswith("_")
    assert "__" not in made


@given(st.text())
def test_every_metric_name_is_ascii_and_short(name: str) -> None:
    made = metric(name)
    assert made.isascii()
    assert len(made) <= 200
    assert not made or made[0].isalpha()


def test_equal_tags_are_given_once() -> None:
    assert tags({"a": "b"}, [("A", "B")], {"c": "d"}) == ["a:b", "c:d"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 9)), max_size=40))
def test_grouping_into_lines_loses_and_adds_no_point(drawn: Sequence[tuple[str, str, int]]) -> None:
    points = [Point(f"m.{name}", {"server": server}, float(t), AT + t) for name, server, t in drawn]
    found = lines(points, "e")
    flat = [(line.metric, line.tags[0], t, value) for line in found for t, value in line.points]
    wanted = [(point.metric, f"server:{point.labels['server']}", point.t_s, point.value) for point in points]
    assert sorted(flat) == sorted(wanted)
    assert len({(line.metric, line.tags) for line in found}) == len(found)


def test_a_resolved_alert_is_told_with_its_state_as_a_tag() -> None:
    event = event_of(resolved(), AT, "h", "e")
    assert "alert_status:resolved" in event.tags
