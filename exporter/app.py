"""The wiring: settings in, a serving exporter out. The only module that knows everyone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web as aiohttp_web

from exporter import heap, listening, readings
from exporter.analysis.analyst import Analyst
from exporter.clock import Clock
from exporter.config import Config
from exporter.duration import parse_duration
from exporter.house import House
from exporter.schedule import Scheduler, latest_slot
from exporter.settings import SettingsError
from exporter.source import fleet_name, open_source
from exporter.storage.database import Database
from exporter.storage.holding import StoreHeld, held
from exporter.storage.open import open_store
from exporter.storage.stats import Limits
from exporter.storage.store import UnusableStore
from exporter.telemetry import Telemetry, timers
from exporter.web import server
from exporter.web.live import Live

log = logging.getLogger(__name__)


def serve(config: Config) -> None:
    """Serves until SIGINT or SIGTERM. Raises SettingsError for what a person has to mend first."""
    sys.setswitchinterval(0.001)  # a heavy query gives way to the event loop after 1 ms instead of 5
    heap.share()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop


async def _serve(config: Config) -> None:
    access = listening.access(config.web.config.file)
    clock = Clock(time.time, config.speed)
    with listening.bound(config.web.listen_address) as sock, _opened(config, clock) as house:
        clock.begin(_beginning(config, house.database))
        await house.begin(latest_slot(clock.now(), house.interval_s))
        scheduler = Scheduler(house.jobs(), now=clock.now, sleep=clock.sleep)
        served = server.build(house.parts(scheduler, access))
        house.published, house.forgotten = served.publish_analysis, served.clean
        house.telemetry = Telemetry([timers(scheduler.timers), *house.readings(), readings.web(served.stats)])
        runner = aiohttp_web.AppRunner(served.application, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            await aiohttp_web.SockSite(runner, sock, ssl_context=access.ssl).start()
            log.info("serving url=%s", listening.url(config.web.listen_address, access))
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


def _beginning(config: Config, database: Database) -> float:
    """When fast time begins: where an earlier run ended, or a while ago. Unix seconds."""
    last = database.latest()
    return time.time() - parse_duration(config.start_behind) / 1000 if last is None else last.t_ms / 1000


@contextlib.contextmanager
def _opened(config: Config, clock: Clock) -> Iterator[House]:
    try:
        store = open_store(config.storage.url, fleet_name(config))
    except UnusableStore as err:
        raise SettingsError(f"storage.url: {str(err).removeprefix('storage.url: ')}") from None
    interval_ms = parse_duration(config.fleet.interval)
    with (
        _held(config),
        open_source(config, clock.now) as source,
        contextlib.closing(
            Database(
                store,
                interval_ms=interval_ms,
                limits=Limits.keeping(config.retention.by_tier_ms()),
                threshold_percent=config.compression.threshold_percent,
            )
        ) as database,
        ThreadPoolExecutor(1, "tick") as threads,
        ThreadPoolExecutor(1, "analysis") as analysis,
    ):
        house = House(config, source, database, Live(), threads, analysis, Analyst(source.depends), clock)
        try:
            yield house
        finally:
            house.closing = True


@contextlib.contextmanager
def _held(config: Config) -> Iterator[None]:
    """The store, for this process alone. Raises SettingsError."""
    try:
        with held(config.storage.url):
            yield
    except StoreHeld as err:
        raise SettingsError(f"storage.url: {err}") from None
