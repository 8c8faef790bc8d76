"""The table of receivers: for each kind, when it is wanted and how it is made. A new kind is one more row."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from alerter.config import Config
from alerter.delivery import Patience
from alerter.dispatch import ALL_LABELS, Policy
from alerter.group_loop import Query
from alerter.model import Receiver
from alerter.telemetry import SeriesStats
from exporter.settings import secret


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What must never be shown."""

    slack_webhook_url: str | None = None
    slack_bot_token: str | None = None
    datadog_api_key: str | None = None
    datadog_site: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Those that no log line may hold."""
        return tuple(each for each in (self.slack_webhook_url, self.slack_bot_token, self.datadog_api_key) if each)


def read_secrets(environ: Mapping[str, str]) -> Secrets:
    """The secrets of the environment and of the files it names. Raises SettingsError."""
    return Secrets(
        slack_webhook_url=secret("SLACK_WEBHOOK_URL", environ),
        slack_bot_token=secret("SLACK_BOT_TOKEN", environ),
        datadog_api_key=secret("DATADOG_API_KEY", environ) or secret("DD_API_KEY", environ),
        datadog_site=secret("DD_SITE", environ),
    )


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


SLACK_PACE = Patience(pace_s=1.0)
EVENT_POLICY = Policy(group_by=(ALL_LABELS,), detail_labels=(), group_interval_s=0.0, repeat_interval_s=1e12)
"""One event for each alert's transition: no grouping, no repeats."""

Now = Callable[[], float]


def wire(config: Config, secrets: Secrets, now: Now) -> Wired:
    """The receivers that these settings and secrets ask for."""
    return Wired(())
