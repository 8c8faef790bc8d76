"""Under any sequence of faults a message arrives, and more than once only where it was accepted and the answer lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerter.model import DeliveryError, Notification
from alerter.notify.datadog_client import DatadogClient
from alerter.notify.datadog_events import DatadogEvents
from alerter.notify.slack import SlackWebhook
from tests.alerter.notify.examples import AT, alert, notification
from tests.alerter.receivers import (
    Drop,
    FakeDatadog,
    FakeSlack,
    Fault,
    Hang,
    Reset,
    SlowBody,
    SlowHead,
    Status,
)

FAULTS: tuple[Fault, ...] = (
    Status(429, "", {"Retry-After": "1"}),
    Status(429),
    Status(500),
    Status(503, "<html>"),
    Status(404, "no_service"),
    Hang(),
    Drop(),
    Drop(accepts=True),
    Reset(),
    SlowHead(0.1),
    SlowBody(0.1),
)
SEQUENCES = st.lists(st.sampled_from(FAULTS), max_size=4)
PATIENT = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as running:
        yield running


@pytest.fixture(scope="module")
def datadog() -> Iterator[FakeDatadog]:
    with FakeDatadog() as running:
        yield running


def told(send: Callable[[Notification], None], message: Notification, tries: int) -> None:
    """Try until it is accepted, as the delivery loop does, without its waiting."""
    for _ in range(tries):
        try:
            send(message)
            return
        except DeliveryError:
            continue
    pytest.fail("never accepted")


@PATIENT
@given(SEQUENCES)
def test_a_message_to_slack_arrives_whatever_happens(slack: FakeSlack, faults: Sequence[Fault]) -> None:
    slack.forget()
    slack.script(*faults)
    receiver = SlackWebhook(slack.webhook, limit_s=0.2, now=lambda: AT)
    told(receiver.send, notification(), len(faults) + 1)
    until_accepted = _until_accepted(faults)
    assert len(slack.accepted) == 1 + until_accepted.count(Drop(accepts=True))


@PATIENT
@given(SEQUENCES)
def test_every_event_to_datadog_arrives_whatever_happens(datadog: FakeDatadog, faults: Sequence[Fault]) -> None:
    datadog.forget()
    datadog.script(*faults)
    receiver = DatadogEvents(DatadogClient(datadog.key, datadog.url, lambda: AT, limit_s=0.2))
    told(receiver.send, notification(alert("a"), alert("b")), len(faults) + 1)
    titles = [event["title"] for event in datadog.events]
    assert {title[-1] for title in titles} == {"a", "b"}
    doubled = sum(request_fault == Drop(accepts=True) for request_fault in faults[: len(datadog.requests)])
    assert len(titles) == 2 + doubled


def _until_accepted(faults: Sequence[Fault]) -> list[Fault]:
    """The faults that one message meets: the first whose answer says that it was accepted is the last."""
    ends = next((i for i, fault in enumerate(faults) if isinstance(fault, SlowBody)), len(faults))
    return list(faults[:ends])
