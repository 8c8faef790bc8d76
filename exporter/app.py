"""The wiring: settings in, a serving exporter out. The only module that knows everyone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from aiohttp import web as aiohttp_web

from exporter import readings, rule_thresholds
from exporter.access import Access, WebConfigError, is_local
from exporter.access import load as load_access
from exporter.analysis.analyst import Analyst
from exporter.common_settings import host_and_port
from exporter.config import Config
from exporter.duration import parse_duration
from exporter.failures import SimulatedFailures
from exporter.model import Snapshot
from exporter.promql.engine import Engine
from exporter.schedule import Job, Priority, Scheduler, latest_slot
from exporter.settings import SettingsError
from exporter.source import Source, fleet_name, open_source
from exporter.storage.database import Database
from exporter.storage.holding import StoreHeld, held
from exporter.storage.open import open_store
from exporter.storage.store import UnusableStore
from exporter.telemetry import Read, Telemetry, timers
from exporter.web import server
from exporter.web.exposition import Format
from exporter.web.live import Live
from exporter.web.system import Check

log = logging.getLogger(__name__)


def serve(config: Config) -> None:
    """Serves until SIGINT or SIGTERM. Raises SettingsError for what a person has to mend first."""
    sys.setswitchinterval(0.001)  # a heavy query gives way to the event loop after 1 ms instead of 5
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop


async def _serve(config: Config) -> None:
    access = _access(config)
    with _listening(config.web.listen_address) as sock, _opened(config) as house:
        await house.begin(latest_slot(time.time(), house.interval_s))
        scheduler = Scheduler(house.jobs(), now=time.time)
        served = server.build(house.parts(scheduler, access))
        house.published, house.forgotten = served.publish_analysis, served.clean
        house.telemetry = Telemetry([timers(scheduler.timers), *house.readings(), readings.web(served.stats)])
        runner = aiohttp_web.AppRunner(served.application, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            await aiohttp_web.SockSite(runner, sock, ssl_context=access.ssl).start()
            log.info("serving url=%s", _url(config.web.listen_address, access))
            gc.collect()
            gc.freeze()  # what was loaded at the start stays: no collection has to look at it again
            await _until_stopped(scheduler)
        finally:
            await runner.cleanup()
    log.info("stopped")


async def _until_stopped(scheduler: Scheduler) -> None:
    running = asyncio.create_task(scheduler.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


@dataclass(eq=False)
class House:
    """The rooms that stand, and what happens in them at each job's slot."""

    config: Config
    source: Source
    database: Database
    live: Live
    threads: ThreadPoolExecutor
    analyst: Analyst = field(default_factory=Analyst)
    published: Callable[[], None] = lambda: None
    forgotten: Callable[[], None] = lambda: None
    telemetry: Telemetry | None = None

    @property
    def interval_s(self) -> float:
        return parse_duration(self.config.fleet.interval) / 1000

    def jobs(self) -> tuple[Job, ...]:
        """The four jobs of the central scheduler."""
        return (
            Job(
                "unified-metrics-generation", self.interval_s, Priority.HIGH, "make, keep and publish a tick", self.tick
            ),
            Job("unified-ai-analysis", 30, Priority.MEDIUM, "look for anomalies and incidents", self.analyse),
            Job("unified-health-check", 60, Priority.MEDIUM, "check store and inventory", self.check),
            Job("unified-cache-cleanup", 300, Priority.LOW, "let go of what has outlived its retention", self.clean),
        )

    async def begin(self, slot: float) -> None:
        """Publish the tick of the slot that is going on; it is kept unless an earlier run has kept it."""
        before = self.database.latest()
        if before is None or before.t_ms < round(slot * 1000):
            await self.tick(slot)
        else:
            self.live.publish(self.source.maker.at(round(slot * 1000)))

    async def tick(self, slot: float) -> None:
        """One snapshot from the source to the store and to everyone who looks."""
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(self.threads, self._made_and_kept, round(slot * 1000))
        self.live.publish(snapshot)
        self.analyst.observe(snapshot, self.live.fleet())

    def _made_and_kept(self, t_ms: int) -> Snapshot:
        snapshot = self.source.maker.at(t_ms)
        self.database.append(snapshot)
        return snapshot

    async def analyse(self, _slot: float) -> None:
        """A new report for those who look."""
        if snapshot := self.live.snapshot():
            self.analyst.run(snapshot, self.live.fleet())
            self.published()

    async def check(self, _slot: float) -> None:
        """Say in the log what does not work; learn which thresholds the rules name."""
        if self.config.compression.threshold_percent:
            await asyncio.get_running_loop().run_in_executor(None, self._protect)
        for found in self.checks():
            if not found.ok:
                log.warning("health check failed check=%s detail=%s", found.name, found.detail)

    def _protect(self) -> None:
        try:
            self.database.protect(rule_thresholds.of_alerter(self.config.alerter.url))
        except (OSError, ValueError, LookupError, TypeError) as err:
            log.warning("thresholds of the rules are not known, those known before hold err=%s", err)

    async def clean(self, slot: float) -> None:
        """Expire old samples and old answers."""
        self.forgotten()
        await asyncio.get_running_loop().run_in_executor(self.threads, self.database.expire, round(slot * 1000))

    def checks(self) -> tuple[Check, ...]:
        """What must work besides ticking."""
        away = self.database.stats().store_away
        return (Check("storage", not away, "the store is away; samples are kept in memory" if away else ""),)

    def readings(self) -> Iterator[Read]:
        """What the rooms say about themselves."""
        yield readings.storage(self.database.stats)
        yield readings.analysis(self.analyst.stats)
        if self.source.inventory is not None:
            yield readings.inventory(self.source.inventory.stats)

    def page(self, form: Format) -> bytes:
        """The process's own families."""
        if self.telemetry is None:
            return b""
        return self.telemetry.openmetrics() if form is Format.OPENMETRICS else self.telemetry.text()

    def parts(self, scheduler: Scheduler, access: Access) -> server.Parts:
        """What the web room is made of."""
        incidents = self.source.incidents
        return server.Parts(
            live=self.live,
            samples=self.database,
            engine=Engine(self.database),
            telemetry=self.page,
            timers=scheduler.timers,
            version=version("openmanager"),
            interval_s=self.interval_s,
            local=is_local(host_and_port(self.config.web.listen_address)[0]),
            alerter_url=self.config.alerter.url,
            access=access,
            analysis=self.analyst.report,
            ingest=self.database.ingest,
            revision=lambda: self.database.revision,
            failures=SimulatedFailures(incidents, time.time) if incidents is not None else None,
            inventory=self.source.servers if self.source.inventory is not None else None,
            checks=self.checks,
        )


@contextlib.contextmanager
def _opened(config: Config) -> Iterator[House]:
    try:
        store = open_store(config.storage.url, fleet_name(config))
    except UnusableStore as err:
        raise SettingsError(f"storage.url: {str(err).removeprefix('storage.url: ')}") from None
    interval_ms = parse_duration(config.fleet.interval)
    with (
        _held(config),
        open_source(config) as source,
        contextlib.closing(
            Database(store, interval_ms=interval_ms, threshold_percent=config.compression.threshold_percent)
        ) as database,
        ThreadPoolExecutor(1, "tick") as threads,
    ):
        yield House(config, source, database, Live(), threads)


@contextlib.contextmanager
def _held(config: Config) -> Iterator[None]:
    """The store, for this process alone. Raises SettingsError."""
    try:
        with held(config.storage.url):
            yield
    except StoreHeld as err:
        raise SettingsError(f"storage.url: {err}") from None


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    """A socket at the address, taken before anything is opened. Raises SettingsError."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(128)
        except OSError as err:
            raise SettingsError(f"web.listen_address: {address}: {err.strerror or err}") from None
        yield sock


def _access(config: Config) -> Access:
    if not config.web.config.file:
        return Access()
    try:
        return load_access(Path(config.web.config.file))
    except WebConfigError as err:
        raise SettingsError(f"web.config.file: {err}") from None


def _url(address: str, access: Access) -> str:
    host, port = host_and_port(address)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if access.ssl else 'http'}://{shown}:{port}/"
