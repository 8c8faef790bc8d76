"""What a person can set about the alerter, checked when it is built. It stops at `app.py`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from alerter.decisions.mute_times import Interval, interval
from alerter.matchers import parse_matcher
from alerter.rules.rulepaths import DEFAULT_PATTERN
from exporter.common_settings import Log, host_and_port, known_scheme, passwords_in
from exporter.duration import parse_duration
from exporter.settings import Section

_FILE_ONLY = {"file_only": True}


def _duration(name: str, text: str, least_ms: int = 0) -> int:
    try:
        ms = parse_duration(text)
    except ValueError as err:
        raise ValueError(f"{name} {text!r}: {err}") from None
    if ms < least_ms:
        raise ValueError(f"{name} {text!r}: must be at least {least_ms} ms")
    return ms


class WebConfig(Section, frozen=True):
    """Who may reach it."""

    file: Annotated[str, Meta(description="TLS, basic auth and tokens, in the exporter toolkit's format")] = ""


class Web(Section, frozen=True):
    """Where it listens, and under which URL people reach it."""

    listen_address: Annotated[str, Meta(description="HOST:PORT to listen on")] = "127.0.0.1:3002"
    external_url: Annotated[str, Meta(description="the URL under which people reach it, for links")] = ""
    config: WebConfig = WebConfig()

    def __post_init__(self) -> None:
        host_and_port(self.listen_address)
        if self.external_url:
            known_scheme(self.external_url, "http://", "https://")

    @property
    def link(self) -> str:
        """The external URL without a slash at its end."""
        host, port = host_and_port(self.listen_address)
        shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
        return (self.external_url or f"http://{shown}:{port}").rstrip("/")


class State(Section, frozen=True):
    """Where alerts, what receivers were told, silences and history are kept."""

    url: Annotated[str, Meta(description="sqlite:///PATH, redis://… or rediss://…")] = "sqlite:///data/alerter.db"

    def __post_init__(self) -> None:
        known_scheme(self.url, "sqlite:///", "redis://", "rediss://")


class Datasource(Section, frozen=True):
    """Whose Prometheus HTTP API answers the rules."""

    url: Annotated[str, Meta(description="base URL of a Prometheus HTTP API")] = "http://127.0.0.1:3001/api/prometheus"
    timeout: Annotated[str, Meta(description="longest time for one query, a Prometheus duration")] = "30s"

    def __post_init__(self) -> None:
        known_scheme(self.url, "http://", "https://")
        _duration("timeout", self.timeout, 1)


class Maintenance(Section, frozen=True):
    """Whose maintenance windows silence servers."""

    url: Annotated[
        str, Meta(description="base URL of the exporter whose maintenance windows hold; by itself the datasource's")
    ] = ""

    def __post_init__(self) -> None:
        if self.url:
            known_scheme(self.url, "http://", "https://")


class RemoteWrite(Section, frozen=True):
    """Where recording rules, ALERTS and ALERTS_FOR_STATE are written; empty writes none."""

    url: Annotated[str, Meta(description="remote write URL for recording rules and ALERTS")] = ""

    def __post_init__(self) -> None:
        if self.url:
            known_scheme(self.url, "http://", "https://")


class Evaluation(Section, frozen=True):
    """When rules are evaluated."""

    interval: Annotated[str, Meta(description="for groups that name none, a Prometheus duration")] = "15s"
    resend_delay: Annotated[str, Meta(description="time after which an Alertmanager is sent an alert again")] = "1m"
    grace: Annotated[str, Meta(description="least wait of a pending alert after a restart")] = "10m"
    self_alert_after: Annotated[
        str, Meta(description="time after which a silent datasource or a failing rule is an alert; 0 for never")
    ] = "5m"
    outage_tolerance: Annotated[str, Meta(description="longest outage after which state is restored")] = "1h"

    def __post_init__(self) -> None:
        _duration("interval", self.interval, 1)
        for name in ("resend_delay", "grace", "outage_tolerance", "self_alert_after"):
            _duration(name, getattr(self, name))

    def seconds(self, name: str) -> float:
        """One of the durations above, in seconds."""
        return parse_duration(getattr(self, name)) / 1_000


class Inhibit(Section, frozen=True):
    """Alerts matching `target` are not told while one matching `source` fires with the same `equal` labels.

    Matchers are written as Alertmanager writes them: `severity="critical"`, `server=~"web-.*"`.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


class Route(Section, frozen=True):
    """Alerts that match all matchers go to these receivers. What is not given is as in `delivery`.

    `mute_times` and `active_times` name entries of the setting `mute_times`: told only outside of the former and
    inside of the latter.
    """

    receivers: tuple[str, ...]
    matchers: tuple[str, ...] = ()
    group_by: tuple[str, ...] | None = None
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    goes_on: bool = msgspec.field(name="continue", default=False)
    mute_times: tuple[str, ...] = ()
    active_times: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for matcher in self.matchers:
            parse_matcher(matcher)
        for name in ("group_wait", "group_interval", "repeat_interval"):
            if getattr(self, name) is not None:
                _duration(name, getattr(self, name))

    def seconds(self, name: str, default: float) -> float:
        """One of the durations above, in seconds."""
        written = getattr(self, name)
        return default if written is None else parse_duration(written) / 1_000


class MuteTime(Section, frozen=True):
    """One interval as Alertmanager writes it in `time_intervals`."""

    times: tuple[dict[str, str | int], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str | int, ...] = ()
    months: tuple[str | int, ...] = ()
    years: tuple[str | int, ...] = ()
    location: str = "UTC"

    def __post_init__(self) -> None:
        _ = self.interval

    @property
    def interval(self) -> Interval:
        """What is written."""
        return interval(
            times=self.times,
            weekdays=self.weekdays,
            days_of_month=self.days_of_month,
            months=self.months,
            years=self.years,
            location=self.location,
        )


class Delivery(Section, frozen=True):
    """How alerts become messages."""

    group_by: Annotated[
        tuple[str, ...], Meta(description="labels whose alerts make one message; `...` means all of them")
    ] = ("alertname", "server")
    detail_labels: Annotated[
        tuple[str, ...], Meta(description="labels that are no news of their own, such as a cpu core")
    ] = ("core",)
    group_wait: Annotated[str, Meta(description="wait before the first message of a group")] = "0s"
    group_interval: Annotated[str, Meta(description="wait before more of a group is told")] = "1m"
    repeat_interval: Annotated[str, Meta(description="wait before what still fires is told again")] = "4h"
    inhibit_linger: Annotated[
        str, Meta(description="how long a resolved critical alert still covers the warning beneath it")
    ] = "5m"
    inhibit: Annotated[
        tuple[Inhibit, ...], Meta(description="more inhibitions, as in Alertmanager", extra=_FILE_ONLY)
    ] = ()

    def __post_init__(self) -> None:
        for name in ("group_wait", "group_interval", "repeat_interval", "inhibit_linger"):
            _duration(name, getattr(self, name))

    def seconds(self, name: str) -> float:
        """One of the durations above, in seconds."""
        return parse_duration(getattr(self, name)) / 1_000


class SlackWebhook(Section, frozen=True):
    """One more webhook, by name. Its URL is a secret: in a file, or in an environment variable."""

    url_file: str = ""
    url_env: str = ""
    channel: str = ""

    def __post_init__(self) -> None:
        if bool(self.url_file) == bool(self.url_env):
            raise ValueError("either url_file or url_env must be given")


class Slack(Section, frozen=True):
    """The Slack receiver. The webhook's URL is the secret SLACK_WEBHOOK_URL."""

    channel: Annotated[str, Meta(description="channel named in messages")] = "#monitoring"
    username: Annotated[str, Meta(description="user name shown")] = "OpenManager Bot"
    icon_emoji: Annotated[str, Meta(description="icon shown")] = ":robot_face:"
    template: Annotated[str, Meta(description="a Jinja2 file that replaces the message's template")] = ""
    api_url: Annotated[str, Meta(description="another endpoint of the Slack API", extra=_FILE_ONLY)] = ""
    webhooks: Annotated[
        dict[str, SlackWebhook],
        Meta(description="more webhooks by name, for routes: url_file or url_env, channel", extra=_FILE_ONLY),
    ] = msgspec.field(default_factory=dict)


def _default_queries() -> dict[str, str]:
    return {
        "openmanager.cpu.usage": "avg by (server) (openmanager_cpu_usage_percent)",
        "openmanager.memory.usage": "openmanager_memory_usage_percent",
        "openmanager.disk.usage": "max by (server) (openmanager_disk_usage_percent)",
        "openmanager.network.receive": "sum by (server) (rate(openmanager_network_receive_bytes_total[1m]))",
        "openmanager.network.transmit": "sum by (server) (rate(openmanager_network_transmit_bytes_total[1m]))",
    }


class Datadog(Section, frozen=True):
    """The Datadog receiver. Its key is the secret DATADOG_API_KEY or DD_API_KEY, its site DD_SITE."""

    host: Annotated[str, Meta(description="host of series and events")] = "openmanager-v5"
    env: Annotated[str, Meta(description="value of the tag env")] = "production"
    interval: Annotated[str, Meta(description="time between two sendings of series")] = "15s"
    api_url: Annotated[str, Meta(description="another endpoint of the Datadog API", extra=_FILE_ONLY)] = ""
    series: Annotated[
        dict[str, str],
        Meta(description="what is sent: a metric's name and the PromQL that gives it", extra=_FILE_ONLY),
    ] = msgspec.field(default_factory=_default_queries)

    def __post_init__(self) -> None:
        _duration("interval", self.interval, 1_000)


class Alertmanager(Section, frozen=True):
    """An Alertmanager that is sent every alert, as Prometheus sends them; empty sends to none."""

    url: Annotated[str, Meta(description="base URL of an Alertmanager that is sent every alert")] = ""

    def __post_init__(self) -> None:
        if self.url:
            known_scheme(self.url, "http://", "https://")


class Config(Section, frozen=True):
    """Everything. Unknown keys are refused."""

    web: Web = Web()
    log: Log = Log()
    state: State = State()
    datasource: Datasource = Datasource()
    maintenance: Maintenance = Maintenance()
    remote_write: RemoteWrite = RemoteWrite()
    evaluation: Evaluation = Evaluation()
    delivery: Delivery = Delivery()
    slack: Slack = Slack()
    datadog: Datadog = Datadog()
    alertmanager: Alertmanager = Alertmanager()
    rules: Annotated[tuple[str, ...], Meta(description="glob of rule files")] = (DEFAULT_PATTERN,)
    routes: Annotated[
        tuple[Route, ...], Meta(description="who is told what, and how; without any, everyone all", extra=_FILE_ONLY)
    ] = ()
    mute_times: Annotated[
        dict[str, tuple[MuteTime, ...]],
        Meta(description="times in which a route that names them tells nothing", extra=_FILE_ONLY),
    ] = msgspec.field(default_factory=dict)
    external_labels: Annotated[
        dict[str, str], Meta(description="labels that name this alerter to the outside", extra=_FILE_ONLY)
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for route in self.routes:
            for name in (*route.mute_times, *route.active_times):
                if name not in self.mute_times:
                    raise ValueError(f"route to {', '.join(route.receivers)}: {name!r} is not in mute_times")

    def passwords(self) -> tuple[str, ...]:
        """Those that stand in URLs: no log line may hold them."""
        urls = (self.state.url, self.datasource.url, self.maintenance.url, self.remote_write.url)
        return passwords_in(*urls, self.alertmanager.url)
