"""The door of the web room: plain parts in, an aiohttp application out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from exporter.access import Access, Verify, bcrypt_matches
from exporter.model import Queryable
from exporter.schedule import Timer
from exporter.web.alerter import Alerter
from exporter.web.alerts import Alerts
from exporter.web.audit import Audit
from exporter.web.auth import Guard
from exporter.web.body import FORM_BYTES
from exporter.web.channels import Channels
from exporter.web.control import Control, Failures
from exporter.web.dashboard import Dashboard
from exporter.web.errors import errors
from exporter.web.exposition import Format
from exporter.web.live import Live
from exporter.web.page import Page, PageStats
from exporter.web.prometheus_api import PrometheusApi, QueryLimits
from exporter.web.prometheus_query import Engine
from exporter.web.prometheus_status import Status
from exporter.web.remote_write import Ingest
from exporter.web.result_cache import ResultCacheStats
from exporter.web.scrape_faults import PageFaults, all_well
from exporter.web.servers import Register, Servers
from exporter.web.silences import SilenceRoutes
from exporter.web.stream import Hub, StreamStats
from exporter.web.system import Check, System
from exporter.web.unified_api import Unified
from exporter.web.workers import WorkersStats

STATIC = Path(__file__).parent / "static"


def _nothing_simulated() -> None:
    return None


def _never_changes() -> object:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the web room is made of. Times in Unix seconds.

    telemetry: the process's own families as a page of the given format. analysis: the latest report, None before
    the first. failures: None where nothing is simulated. page_fault: how the page of a single server comes.
    register: the servers of the fleet. ingest: keeps what comes by remote write; None: nothing does. local: whether it
    listens on loopback only. revision: differs once samples of the past may read otherwise than before, or could not
    all be read; what `ingest` and ticks bring aside. kept: JSON-able, how much each tier has of each family.
    longest_kept_ms: the longest retention.
    """

    live: Live
    register: Register
    samples: Queryable
    engine: Engine
    telemetry: Callable[[Format], bytes]
    timers: Callable[[], Sequence[Timer]]
    version: str
    interval_s: float
    local: bool
    alerter_url: str
    access: Access = field(default_factory=Access)
    analysis: Callable[[], Mapping[str, object] | None] = _nothing_simulated
    failures: Failures | None = None
    page_fault: PageFaults = all_well
    ingest: Ingest | None = None
    revision: Callable[[], object] = _never_changes
    kept: Callable[[], Sequence[Mapping[str, object]]] = tuple
    longest_kept_ms: int = 0
    checks: Callable[[], Sequence[Check]] = tuple
    origins: Sequence[str] = ()
    verify: Verify = bcrypt_matches
    queries: QueryLimits = field(default_factory=QueryLimits)
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class WebStats:
    """Everything the room counts."""

    page: PageStats
    queries: WorkersStats
    cache: ResultCacheStats
    stream: StreamStats
    alerter_away: bool


@dataclass(frozen=True, slots=True)
class Web:
    """The application, and what its owner does with it."""

    application: web.Application
    stats: Callable[[], WebStats]
    publish_analysis: Callable[[], None]
    """Tell the stream's clients that there is a new analysis."""
    clean: Callable[[], None]
    """Let go of cached answers that are out of date."""


def build(parts: Parts) -> Web:
    """Everything that is served, wired together. Starts nothing: that is the runner's."""
    started = parts.now()
    api = PrometheusApi(
        parts.engine,
        parts.samples,
        parts.live,
        limits=parts.queries,
        ingest=parts.ingest,
        revision=parts.revision,
        now=parts.now,
        monotonic=parts.monotonic,
    )
    alerter = Alerter(parts.alerter_url)
    alerts = Alerts(alerter, parts.monotonic, parts.now)
    page = Page(parts.live.snapshot, parts.telemetry, parts.monotonic, parts.interval_s, parts.page_fault)
    system = System(
        parts.live.fleet,
        parts.timers,
        parts.checks,
        interval_s=parts.interval_s,
        started=started,
        version=parts.version,
        now=parts.now,
    )
    hub = _hub(parts, alerts, system)
    parts.live.expect(parts.register.servers)
    guard = Guard(parts.access, local=parts.local, verify=parts.verify)
    audit = Audit(parts.now, guard.name)
    servers = Servers(parts.register, parts.now, audit)
    rooms = (
        page,
        api,
        Status(
            parts.live.snapshot,
            alerter,
            version=parts.version,
            started=started,
            interval_s=parts.interval_s,
            kept=parts.kept,
            longest_kept_ms=parts.longest_kept_ms,
            now=parts.now,
        ),
        Unified(
            parts.live,
            alerts,
            page,
            health=system.health,
            status=lambda: _process_status(parts, system),
            analysis=parts.analysis,
            version=parts.version,
            now=parts.now,
        ),
        audit,
        Control(parts.failures, servers.names, lambda: uuid.uuid4().hex[:12], parts.now, audit),
        SilenceRoutes(alerter, alerts.refresh),
        servers,
        system,
        hub,
        Dashboard(STATIC),
    )
    application = web.Application(middlewares=[guard.middleware(), errors], client_max_size=FORM_BYTES)
    for room in rooms:
        application.router.add_routes(room.routes())
    application.cleanup_ctx.extend([alerter.context, alerts.context, hub.context])
    application.on_cleanup.append(api.close)
    return Web(
        application,
        lambda: WebStats(page.stats(), *api.stats(), hub.stats(), alerts.away is not None),
        lambda: hub.publish("ai-analysis"),
        api.clean,
    )


def _hub(parts: Parts, alerts: Alerts, system: System) -> Hub:
    """The stream with its four channels, wired to ticks and to changes of alerts."""
    live = parts.live
    channels = Channels(live, alerts, status=lambda: _process_status(parts, system), analysis=parts.analysis)
    hub = Hub(
        channels.sources,
        now=parts.now,
        monotonic=parts.monotonic,
        tick_s=parts.interval_s,
        origins=parts.origins,
    )
    live.on_tick(lambda: hub.publish("server-metrics"))
    alerts.on_change(lambda: hub.publish("alerts"))
    alerts.watched = lambda: hub.wanted("alerts")
    return hub


def _process_status(parts: Parts, system: System) -> Mapping[str, object]:
    return {
        "health": system.health(),
        "timers": system.timers(),
        "thresholds": {
            name: [threshold.warning, threshold.critical] for name, threshold in parts.live.thresholds().items()
        },
        "control": {
            "simulated": parts.failures is not None,
            "token_needed": not parts.local or bool(parts.access.tokens),
        },
    }
