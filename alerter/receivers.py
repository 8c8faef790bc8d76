"""The table of receivers: for each kind, when it is wanted and how it is made. A new kind is one more row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from alerter.config import Config
from alerter.datasource.querier import Query
from alerter.decisions.dispatch import ALL_LABELS, Policy
from alerter.loops.alertmanager_loop import AlertmanagerLoop
from alerter.loops.patience import Patience, SeriesStats
from alerter.loops.series import SeriesLoop, Sink
from alerter.model import Receiver
from alerter.secrets import Secrets
from exporter.duration import parse_duration

if TYPE_CHECKING:
    from alerter.notify.slack_bot import Memory
    from alerter.notify.slack_message import SlackMessage


@dataclass(frozen=True, slots=True)
class WiredReceiver:
    """A receiver and how it is treated. `policy` None takes the settings'; `inhibited`: whether inhibitions hold."""

    receiver: Receiver
    patience: Patience
    policy: Policy | None = None
    inhibited: bool = True


class SeriesSender(Protocol):
    """A loop that sends series to a receiver until it is cancelled."""

    def run(self, query: Query) -> Coroutine[Any, Any, None]: ...

    def stats(self) -> SeriesStats: ...


@dataclass(frozen=True, slots=True)
class Wired:
    """All that is told."""

    receivers: Sequence[WiredReceiver]
    series: Sequence[SeriesSender] = ()
    alertmanagers: Sequence[AlertmanagerLoop] = ()


SLACK_PATIENCE = Patience(pace_s=1.0)
PATIENCE = Patience()
EVENT_PATIENCE = Patience(together=20)
EVENT_POLICY = Policy(group_by=(ALL_LABELS,), detail_labels=(), group_interval_s=0.0, repeat_interval_s=1e12)
"""One event for each transition of each alert: no groups, no repeats."""


_NO_KEY = "none"  # of a client that is never asked: events are made by it and only shown


class ReceiverError(Exception):
    """A receiver cannot be made from its settings. The message names the setting, never a secret."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What receivers need of the world. `now` gives Unix seconds, `write` shows a line to the user."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]
    write: Callable[[str], None]
    memory: Memory


Maker = Callable[[Config, Secrets, Surroundings], Wired]


def routing_name(name: str) -> str:
    """What routes call a receiver: `slack` whether it is told by webhook, by bot or on the console."""
    return name.removesuffix("-console").removesuffix("-bot")


def wire(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    """The receivers that these settings and secrets ask for. Raises ReceiverError."""
    made = [maker(config, secrets, world) for maker in MAKERS]
    names = Counter(routing_name(receiver.receiver.name) for wired in made for receiver in wired.receivers)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ReceiverError(f"slack.webhooks.{twice[0]}: there is a receiver of that name")
    for route in config.routes:
        if unknown := [name for name in route.receivers if name not in names]:
            raise ReceiverError(f"routes: {unknown[0]!r}: no such receiver, there is {', '.join(names)}")
    return Wired(
        [receiver for wired in made for receiver in wired.receivers],
        [series for wired in made for series in wired.series],
        [loop for wired in made for loop in wired.alertmanagers],
    )


def _slack(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    """By bot token, else by webhook, else shown on the console."""
    from alerter.notify.json_template import TemplateProblem

    receiver: Receiver
    try:
        if secrets.slack_bot_token:
            receiver = _slack_bot(config, secrets.slack_bot_token, world)
        elif secrets.slack_webhook_url:
            receiver = _slack_webhook(config, secrets.slack_webhook_url, world)
        else:
            from alerter.notify.console import SlackConsole

            return Wired([WiredReceiver(SlackConsole(_slack_message(config), world.write), PATIENCE)])
    except OSError as err:
        raise ReceiverError(f"slack.template: {config.slack.template}: {err.strerror or type(err).__name__}") from None
    except TemplateProblem as err:
        raise ReceiverError(f"slack.template: {err}") from None
    except ValueError as err:
        setting = "slack" if secrets.slack_bot_token else "SLACK_WEBHOOK_URL"
        raise ReceiverError(f"{setting}: {err}") from None
    return Wired([WiredReceiver(receiver, SLACK_PATIENCE)])


def _slack_by_name(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    """The webhooks that have names, each with a queue of its own."""
    from alerter.notify.slack import SlackWebhook

    slack, made = config.slack, []
    for name, url in secrets.slack_webhooks.items():
        channel = slack.webhooks[name].channel or slack.channel
        try:
            receiver = SlackWebhook(
                url, channel, slack.username, slack.icon_emoji, slack.template, now=world.now, name=name
            )
        except ValueError as err:
            raise ReceiverError(f"slack.webhooks.{name}: {err}") from None
        made.append(WiredReceiver(receiver, SLACK_PATIENCE))
    return Wired(made)


def _slack_message(config: Config) -> SlackMessage:
    from alerter.notify.slack_message import SlackMessage

    slack = config.slack
    return SlackMessage(slack.channel, slack.username, slack.icon_emoji, slack.template)


def _slack_webhook(config: Config, url: str, world: Surroundings) -> Receiver:
    from alerter.notify.slack import SlackWebhook

    slack = config.slack
    return SlackWebhook(url, slack.channel, slack.username, slack.icon_emoji, slack.template, now=world.now)


def _slack_bot(config: Config, token: str, world: Surroundings) -> Receiver:
    from alerter.notify.slack_bot import API_URL, SlackBot

    url = config.slack.api_url or API_URL
    return SlackBot(token, _slack_message(config), world.memory, api_url=url, now=world.now)


def _datadog(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    from alerter.notify.console import EventsConsole, SeriesConsole
    from alerter.notify.datadog_client import DatadogClient, api_url
    from alerter.notify.datadog_events import DatadogEvents
    from alerter.notify.datadog_series import DatadogSeries

    datadog = config.datadog
    try:
        url = api_url(secrets.datadog_site, datadog.api_url)
        client = DatadogClient(secrets.datadog_api_key or _NO_KEY, url, world.now)
        events = DatadogEvents(client, datadog.host, datadog.env)
    except ValueError as err:
        raise ReceiverError(f"datadog: {err}") from None
    if secrets.datadog_api_key:
        receiver: Receiver = events
        sink: Sink = DatadogSeries(client, world.now, datadog.host, datadog.env)
    else:
        receiver = EventsConsole(events, world.write)
        sink = SeriesConsole(world.write, world.now, datadog.env)
    series = SeriesLoop(
        "datadog-series" if secrets.datadog_api_key else "datadog-series-console",
        sink,
        datadog.series,
        parse_duration(datadog.interval) / 1_000,
        now=world.now,
        sleep=world.sleep,
        jitter=world.jitter,
        patience=PATIENCE,
    )
    return Wired([WiredReceiver(receiver, EVENT_PATIENCE, EVENT_POLICY, inhibited=False)], [series])


def _webhook(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    if not secrets.webhook_url:
        return Wired([])
    from alerter.notify.webhook import Webhook

    try:
        return Wired([WiredReceiver(Webhook(secrets.webhook_url, now=world.now), PATIENCE)])
    except ValueError as err:
        raise ReceiverError(f"ALERT_WEBHOOK_URL: {err}") from None


def _alertmanager(config: Config, secrets: Secrets, world: Surroundings) -> Wired:
    if not config.alertmanager.url:
        return Wired([])
    from alerter.notify.alertmanager import Alertmanager

    try:
        poster = Alertmanager(config.alertmanager.url, now=world.now)
    except ValueError as err:
        raise ReceiverError(f"alertmanager.url: {err}") from None
    return Wired([], [], [AlertmanagerLoop(poster, config.evaluation.seconds("resend_delay"), world.now)])


MAKERS: Sequence[Maker] = (_slack, _slack_by_name, _datadog, _webhook, _alertmanager)
"""The table."""
