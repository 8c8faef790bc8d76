"""What a person can set, checked when it is built. It stops at `app.py`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from exporter.common_settings import Log, host_and_port, known_scheme, passwords_in
from exporter.duration import parse_duration
from exporter.host.services import parse_check
from exporter.settings import Section
from exporter.shard import parse_shard


class WebConfig(Section, frozen=True):
    """Who may talk to it."""

    file: Annotated[str, Meta(description="TLS, basic auth and tokens, in the exporter toolkit's format")] = ""


class Web(Section, frozen=True):
    """Where and how the exporter listens."""

    listen_address: Annotated[str, Meta(description="HOST:PORT to listen on")] = "127.0.0.1:3001"
    config: WebConfig = WebConfig()

    def __post_init__(self) -> None:
        host_and_port(self.listen_address)


class Storage(Section, frozen=True):
    """Where samples are kept."""

    url: Annotated[str, Meta(description="sqlite:///PATH, redis://…, rediss://… or memory:")] = (
        "sqlite:///data/samples.db"
    )

    def __post_init__(self) -> None:
        known_scheme(
            self.url, "sqlite:///", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "memory:"
        )


class Retention(Section, frozen=True):
    """How long samples are kept as they came, and how long aggregates of them."""

    raw: Annotated[str, Meta(description="how long samples are kept as they came, a Prometheus duration")] = "7d"
    minute: Annotated[str, Meta(description="how long aggregates of 1 minute are kept; 0 keeps none")] = msgspec.field(
        default="30d", name="1m"
    )
    five_minutes: Annotated[str, Meta(description="how long aggregates of 5 minutes are kept; 0 keeps none")] = (
        msgspec.field(default="90d", name="5m")
    )
    hour: Annotated[str, Meta(description="how long aggregates of 1 hour are kept; 0 keeps none")] = msgspec.field(
        default="1y", name="1h"
    )

    def __post_init__(self) -> None:
        if parse_duration(self.raw) < 7_200_000:
            raise ValueError(f"raw {self.raw!r}: must be at least 2h")
        finer, least_ms = "raw", parse_duration(self.raw)
        for name, text in (("1m", self.minute), ("5m", self.five_minutes), ("1h", self.hour)):
            kept_ms = parse_duration(text)
            if kept_ms and kept_ms < least_ms:
                raise ValueError(f"{name} {text!r}: must be 0 or not less than {finer}")
            finer, least_ms = (name, kept_ms) if kept_ms else (finer, least_ms)

    def by_tier_ms(self) -> dict[str, int]:
        """Milliseconds by tier; tiers that are not kept are left out."""
        texts = {"raw": self.raw, "1m": self.minute, "5m": self.five_minutes, "1h": self.hour}
        return {name: kept_ms for name, text in texts.items() if (kept_ms := parse_duration(text))}


class Inventory(Section, frozen=True):
    """Where servers and their configuration are kept."""

    url: Annotated[str, Meta(description="sqlite:///PATH or postgresql://…")] = "sqlite:///data/inventory.db"

    def __post_init__(self) -> None:
        known_scheme(self.url, "sqlite:///", "postgresql://", "postgres://")


class Fleet(Section, frozen=True):
    """The simulated fleet."""

    servers: Annotated[int, Meta(ge=1, le=100_000, description="how many servers to simulate")] = 20
    seed: Annotated[int, Meta(ge=0, description="the same seed makes the same fleet")] = 1
    interval: Annotated[str, Meta(description="time between two ticks, a Prometheus duration")] = "15s"
    environment: Annotated[str, Meta(min_length=1, description="the label environment of every server")] = "production"
    timezone: Annotated[str, Meta(description="whose working hours the fleet's users keep, as Asia/Seoul")] = "UTC"
    roles: Annotated[str, Meta(description="a YAML file that adds roles or replaces shipped ones")] = ""
    holidays: Annotated[
        tuple[str, ...],
        Meta(description="days with the load of a weekend, as 2026-12-25", extra={"file_only": True}),
    ] = ()

    def __post_init__(self) -> None:
        _checked_calendar(self.timezone, self.holidays)
        if not 1_000 <= parse_duration(self.interval) <= 3_600_000:
            raise ValueError(f"interval {self.interval!r}: must be between 1s and 1h")


def _checked_calendar(timezone: str, holidays: tuple[str, ...]) -> None:
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone {timezone!r}: must be the name of a time zone such as Asia/Seoul") from None
    for day in holidays:
        try:
            dt.date.fromisoformat(day)
        except ValueError:
            raise ValueError(f"holidays: {day!r}: must be a day such as 2026-12-25") from None


class Failures(Section, frozen=True):
    """What goes wrong in the simulated fleet."""

    rate: Annotated[
        float,
        Meta(ge=0, le=100, description="how often failures happen at random: 1 is once in two to three hours, 0 never"),
    ] = 1.0
    scenarios: Annotated[str, Meta(description="a folder of YAML files that add scenarios or replace shipped ones")] = (
        ""
    )


class Host(Section, frozen=True):
    """The machine it runs on."""

    server: Annotated[str, Meta(description="the label server of the machine; its host name if empty")] = ""
    root: Annotated[str, Meta(description="where the machine's / is mounted, in a container")] = "/"
    services: Annotated[
        dict[str, str],
        Meta(description="what tells that a service runs: process:NAME or tcp:PORT", extra={"file_only": True}),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.root.startswith("/") or (self.root != "/" and self.root.endswith("/")):
            raise ValueError(f"root {self.root!r}: must be an absolute path without a slash at its end, such as /host")
        for service, check in self.services.items():
            try:
                parse_check(check)
            except ValueError as err:
                raise ValueError(f"service {service!r}: {err}") from None


class Compression(Section, frozen=True):
    """What baseline + delta may leave out. 0 is lossless."""

    threshold_percent: Annotated[
        float,
        Meta(ge=0, le=50, description="leave out changes of gauges up to this many percent; 0 loses nothing"),
    ] = 0.0


class Query(Section, frozen=True):
    """What questions in PromQL may take."""

    lookback_delta: Annotated[str, Meta(description="how old a sample may be to be seen, a Prometheus duration")] = "5m"
    max_concurrency: Annotated[int, Meta(ge=1, le=64, description="range queries at a time, and as many others")] = 2
    max_samples: Annotated[int, Meta(ge=1, description="most samples that one query may have in memory")] = 50_000_000
    timeout: Annotated[str, Meta(description="longest time of a query with its wait, a Prometheus duration")] = "2m"
    cache_mb: Annotated[
        int, Meta(ge=0, le=4096, description="megabytes of answers that are kept to be extended; 0 keeps none")
    ] = 8

    def __post_init__(self) -> None:
        for name, text in (("lookback_delta", self.lookback_delta), ("timeout", self.timeout)):
            if parse_duration(text) <= 0:
                raise ValueError(f"{name} {text!r}: must be longer than 0")


class Alerter(Section, frozen=True):
    """The alerter whose rules and alerts are shown here."""

    url: Annotated[str, Meta(description="base URL of the alerter")] = "http://127.0.0.1:3002"

    def __post_init__(self) -> None:
        known_scheme(self.url, "http://", "https://")


class Config(Section, frozen=True):
    """Everything. Unknown keys are refused."""

    web: Web = Web()
    log: Log = Log()
    storage: Storage = Storage()
    retention: Retention = Retention()
    inventory: Inventory = Inventory()
    fleet: Fleet = Fleet()
    failures: Failures = Failures()
    host: Host = Host()
    compression: Compression = Compression()
    query: Query = Query()
    alerter: Alerter = Alerter()
    source: Annotated[
        Literal["simulated", "host"], Meta(description="simulated (a fleet) or host (the machine it runs on)")
    ] = "simulated"
    shard: Annotated[str, Meta(description="i/n: only the i-th of n parts of the fleet, by server names")] = ""
    speed: Annotated[
        float,
        Meta(ge=1, le=3600, description="how much faster simulated time runs until it has caught up with the real one"),
    ] = 1.0
    start_behind: Annotated[
        str, Meta(description="with speed: how far in the past time begins where nothing is kept yet")
    ] = "1d"
    external_labels: Annotated[
        dict[str, str], Meta(description="labels that name this fleet to the outside", extra={"file_only": True})
    ] = msgspec.field(default_factory=lambda: {"cluster": "openmanager-v5"})

    def __post_init__(self) -> None:
        parse_shard(self.shard)
        if parse_duration(self.start_behind) > 90 * 86_400_000:
            raise ValueError(f"start_behind {self.start_behind!r}: must be at most 90d")
        if self.speed > 1 and self.source == "host":
            raise ValueError(f"speed {self.speed:g}: only the time of a simulated fleet can run faster")

    def passwords(self) -> tuple[str, ...]:
        """Those that stand in URLs: no log line may hold them."""
        return passwords_in(self.storage.url, self.inventory.url, self.alerter.url)
