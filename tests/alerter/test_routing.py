"""Who is told what: routes, receivers with names, and times in which nobody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
import yaml

from alerter.config import Config
from alerter.decisions.dispatch import Policy
from alerter.decisions.routing import Routing
from alerter.loops.delivery import Delivery
from alerter.loops.patience import Patience
from alerter.receivers import ReceiverError, Surroundings, wire
from alerter.secrets import Secrets, read_secrets
from alerter.state.board import Board
from alerter.wiring import policies, routes
from exporter.model import make_labels
from exporter.settings import SettingsError
from tests.alerter.worlds import Clock, Inbox, firing, opened, post, resolved

ROUTES = """
routes:
  - {matchers: ['team="db"'], receivers: [dba], group_wait: 30s, group_by: [team], continue: true}
  - {matchers: [severity=critical], receivers: [slack, dba], repeat_interval: 1h}
  - {matchers: ['team=~"web|shop"'], receivers: [slack]}
"""


def config(text: str) -> Config:
    return msgspec.convert(yaml.safe_load(text), Config)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"team": "db", "severity": "critical"}, {"dba": 30.0, "slack": 0.0}),
        ({"team": "db", "severity": "warning"}, {"dba": 30.0}),
        ({"team": "web", "severity": "critical"}, {"dba": 0.0, "slack": 0.0}),
        ({"team": "shop"}, {"slack": 0.0}),
        ({"team": "webshop"}, {"dba": 0.0, "slack": 0.0, "datadog": 0.0}),
        ({}, {"dba": 0.0, "slack": 0.0, "datadog": 0.0}),
    ],
)
def test_the_first_route_that_matches_decides_and_without_one_everybody_is_told(
    labels: Mapping[str, str], told: Mapping[str, float]
) -> None:
    settings = config(ROUTES)
    found = {}
    for receiver in ("slack", "dba", "datadog"):
        policy = Routing(routes(settings), receiver, policies(settings)).policy(make_labels(labels))
        if policy is not None:
            found[receiver] = policy.group_wait_s
    assert found == told


def test_what_a_route_does_not_say_is_as_for_everybody() -> None:
    settings = config(ROUTES + "delivery: {group_interval: 2m, detail_labels: [cpu]}")
    database, critical, _ = routes(settings)
    assert database.policy == Policy(("team",), ("cpu",), 30.0, 120.0, 14_400.0)
    assert critical.policy == Policy(("alertname", "server"), ("cpu",), 0.0, 120.0, 3_600.0)


def told_by(text: str, receiver: str, inbox: Inbox, board: Board, clock: Clock, folder: Path) -> Delivery:
    settings = config(text)
    routing = Routing(routes(settings), receiver, policies(settings))
    return Delivery(
        inbox,
        policies(settings),
        policy_of=routing.policy,
        board=board,
        store=opened(folder / f"{receiver}.db", clock),
        muted=routing.muted,
        now=clock.now,
        sleep=clock.sleep,
        jitter=lambda: 0.0,
        patience=Patience(),
    )


async def test_a_receiver_hears_of_its_alerts_only_each_grouped_as_its_route_says(clock: Clock, tmp_path: Path) -> None:
    board, inbox = Board(), Inbox(clock)
    loop = told_by(ROUTES, "dba", inbox, board, clock, tmp_path)
    post(
        board, firing("A", team="db"), firing("B", team="db"), firing("C", team="web"), firing("D", severity="critical")
    )
    await loop.tell_all()
    assert [dict(each.group_labels) for each in inbox.accepted] == [{"alertname": "D"}]
    clock.t += 30
    await loop.tell_all()
    assert inbox.said() == ["1 firing", "2 firing"]
    assert inbox.accepted[1].group_labels == (("team", "db"),)


NIGHTS = """
routes: [{matchers: [severity=warning], receivers: [inbox], mute_times: [nights], group_interval: 0s}]
mute_times:
  nights: [{times: [{start_time: '00:00', end_time: '06:00'}], location: UTC}]
"""


async def test_in_a_mute_time_nothing_is_told_and_after_it_what_is_true_then(clock: Clock, tmp_path: Path) -> None:
    clock.t = 86_400.0 - 60
    board, inbox = Board(), Inbox(clock)
    loop = told_by(NIGHTS, "inbox", inbox, board, clock, tmp_path)
    post(board, firing("Before", t=clock.t, severity="warning"))
    await loop.tell_all()
    assert inbox.said() == ["1 firing"]
    clock.t = 86_400.0 + 4 * 3_600
    night = [
        resolved("Before", t=86_340.0, at=clock.t, severity="warning"),
        firing("Lasts", t=clock.t, severity="warning"),
        firing("Urgent", t=clock.t, severity="critical"),
    ]
    post(board, *night, resolved("Short", t=clock.t, at=clock.t + 1, severity="warning"))
    await loop.tell_all()
    assert [each.label["alertname"] for each in inbox.accepted[1].alerts] == ["Urgent"]
    assert len(inbox.accepted) == 2
    clock.t = 86_400.0 + 6 * 3_600 - 1
    assert await loop.tell_all() <= clock.t + 5
    assert len(inbox.accepted) == 2
    clock.t += 5
    await loop.tell_all()
    assert sorted(each.alerts[0].label["alertname"] + str(each.alerts[0].state) for each in inbox.accepted[2:]) == [
        "Beforeresolved",
        "Lastsfiring",
    ]


def test_active_times_are_the_only_ones_in_which_is_told() -> None:
    text = (
        "routes: [{receivers: [slack], active_times: [office]}]\nmute_times: {office: [{weekdays: ['monday:friday']}]}"
    )
    (route,) = routes(config(text))
    saturday = 1_772_841_600.0  # 2026-03-07
    assert (route.muted(saturday), route.muted(saturday + 2 * 86_400)) == (True, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("routes: [{receivers: [slack], mute_times: [never]}]", "'never' is not in mute_times"),
        ("routes: [{receivers: [slack], matchers: ['{']}]", "bad matcher format: {"),
        ("routes: [{receivers: [slack], group_wait: soon}]", "group_wait 'soon'"),
        ("routes: [{matchers: [a=b]}]", "missing required field `receivers`"),
        ("mute_times: {x: [{weekdays: [someday]}]}", "weekday 'someday'"),
        ("slack: {webhooks: {ops: {}}}", "either url_file or url_env must be given"),
        ("slack: {webhooks: {ops: {url: https://hooks.slack.example/secret}}}", "unknown field `url`"),
    ],
)
def test_routes_that_cannot_be_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        config(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


class Forgetful:
    """A memory of nothing."""

    def get(self, key: str) -> str | None:
        return None

    def put(self, key: str, value: str | None) -> None:
        pass


WORLD = Surroundings(lambda: 0.0, asyncio.sleep, lambda: 0.0, lambda line: None, Forgetful())
OPS = (
    "slack: {webhooks: {ops: {url_file: %s, channel: '#ops'}, shop: {url_env: SHOP_URL}}}\nroutes: [{receivers: [ops]}]"
)


def test_webhooks_have_names_and_their_urls_come_from_files_or_variables(tmp_path: Path) -> None:
    (tmp_path / "ops").write_text("https://hooks.slack.example/services/T0/B0/ops-secret\n")
    settings = config(OPS % (tmp_path / "ops"))
    secrets = read_secrets({"SHOP_URL": "https://hooks.slack.example/services/T0/B0/shop-secret"}, settings)
    assert [each.receiver.name for each in wire(settings, secrets, WORLD).receivers][:3] == [
        "slack-console",
        "ops",
        "shop",
    ]
    assert sum("-secret" in secret for secret in secrets.all) == 2
    with pytest.raises(SettingsError, match=r"slack.webhooks.shop: SHOP_URL: not set"):
        read_secrets({}, settings)


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("routes: [{receivers: [pager]}]", "ops", "routes: 'pager': no such receiver, there is slack, ops, datadog"),
        ("{}", "slack", "slack.webhooks.slack: there is a receiver of that name"),
    ],
)
def test_names_that_are_unknown_or_taken_are_refused(text: str, name: str, reason: str) -> None:
    settings = config(yaml.safe_dump({"slack": {"webhooks": {name: {"url_env": "X"}}}, **yaml.safe_load(text)}))
    with pytest.raises(ReceiverError) as caught:
        wire(settings, Secrets(slack_webhooks={name: "https://hooks.slack.example/x"}), WORLD)
    assert str(caught.value) == reason


@pytest.fixture
def clock() -> Clock:
    return Clock()
