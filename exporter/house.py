"""The rooms that stand, and what happens in them at each job's slot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version

from exporter import heap, readings, rule_thresholds
from exporter.access import Access, is_local
from exporter.analysis.analyst import Analyst
from exporter.analysis.history import warm_up
from exporter.analysis.status import Fleet
from exporter.clock import Clock
from exporter.common_settings import host_and_port
from exporter.config import Config
from exporter.duration import parse_duration
from exporter.failures import SimulatedFailures
from exporter.inventory.database import InventoryUnavailable
from exporter.model import Snapshot
from exporter.promql.engine import Engine
from exporter.schedule import Job, Priority, Scheduler
from exporter.source import Source
from exporter.storage.database import Database
from exporter.telemetry import Read, Telemetry
from exporter.web import server
from exporter.web.exposition import Format
from exporter.web.live import Live
from exporter.web.prometheus_api import QueryLimits
from exporter.web.scrape_faults import all_well
from exporter.web.system import Check

log = logging.getLogger(__name__)

_MANY_SERIES = 100_000


@dataclass(eq=False)
class House:
    """What there is from the opening of the store to its close."""

    config: Config
    source: Source
    database: Database
    live: Live
    threads: ThreadPoolExecutor
    analysis: ThreadPoolExecutor
    analyst: Analyst
    clock: Clock
    published: Callable[[], None] = lambda: None
    forgotten: Callable[[], None] = lambda: None
    telemetry: Telemetry | None = None
    closing: bool = False
    _looking: asyncio.Future[None] | None = None

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
            await self._publish(slot)
        else:
            self.live.publish(self.source.maker.at(round(slot * 1000)))
        self._look(self._remember, self.live.snapshot(), self.live.fleet())

    async def tick(self, slot: float) -> None:
        """One snapshot from the source to the store and to everyone who looks."""
        snapshot = await self._publish(slot)
        self._look(self.analyst.observe, snapshot, self.live.fleet())

    async def _publish(self, slot: float) -> Snapshot:
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(self.threads, self._made_and_kept, round(slot * 1000))
        self.live.publish(snapshot)
        return snapshot

    def _look(self, look: Callable[..., None], *at: object) -> None:
        """Let the analyst work beside the ticks; one that comes while it is busy is passed over."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().run_in_executor(self.analysis, _logged, look, *at)

    def _remember(self, snapshot: Snapshot, fleet: Fleet) -> None:
        """The first report, by what is known of the past."""
        ticks = warm_up(self.analyst, self.database, snapshot.t_ms, going_on=lambda: not self.closing)
        log.info("analysis knows the stored past ticks=%d", ticks)
        self.analyst.run(snapshot, fleet)
        self.database.forget_decoded()
        heap.trim()

    def _made_and_kept(self, t_ms: int) -> Snapshot:
        for missed_ms in self._missed_ms(t_ms):
            self._kept_at(missed_ms)
        snapshot = self._kept_at(t_ms)
        if self.database.stats().series > _MANY_SERIES:
            heap.trim()  # a twentieth of the memory is what a large tick took while it was made
        return snapshot

    def _missed_ms(self, t_ms: int) -> range:
        """While time runs fast: the ticks since the last one, which took longer than an interval of that time."""
        last, step = self.database.latest(), round(self.interval_s * 1000)
        return range(0) if last is None or not self.clock.behind else range(last.t_ms + step, t_ms, step)

    def _kept_at(self, t_ms: int) -> Snapshot:
        made = self.source.maker.at(t_ms)
        snapshot = replace(made, columns=(*made.columns, *self.analyst.columns()))
        self.database.append(snapshot)
        return snapshot

    async def analyse(self, _slot: float) -> None:
        """A new report for those who look."""
        if snapshot := self.live.snapshot():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.analysis, self.analyst.run, snapshot, self.live.fleet())
            self.published()

    async def check(self, _slot: float) -> None:
        """Say in the log what does not work; learn what others wrote: servers, and thresholds in rules."""
        with contextlib.suppress(InventoryUnavailable):  # then its check says so
            await asyncio.to_thread(self.source.refresh)
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
        """Expire old samples and old answers, and give their memory back."""
        self.forgotten()
        self.database.sweep()
        await asyncio.get_running_loop().run_in_executor(self.threads, self.database.expire, round(slot * 1000))
        heap.trim()

    def checks(self) -> tuple[Check, ...]:
        """What must work besides ticking."""
        away = self.database.stats().store_away
        known = self.source.inventory.stats().available
        return (
            Check("storage", not away, "the store is away; samples are kept in memory" if away else ""),
            Check("inventory", known, "" if known else "the inventory is away; its servers are served from memory"),
        )

    def readings(self) -> Iterator[Read]:
        """What the rooms say about themselves."""
        yield readings.storage(self.database.stats)
        yield readings.tiers(self.database.kept)
        yield readings.analysis(self.analyst.stats)
        yield readings.inventory(self.source.inventory.stats)

    def page(self, form: Format) -> bytes:
        """The process's own families."""
        if self.telemetry is None:
            return b""
        return self.telemetry.openmetrics() if form is Format.OPENMETRICS else self.telemetry.text()

    def parts(self, scheduler: Scheduler, access: Access) -> server.Parts:
        """What the web room is made of."""
        incidents, query = self.source.incidents, self.config.query
        failures = SimulatedFailures(incidents, self.clock.now) if incidents is not None else None
        return server.Parts(
            live=self.live,
            register=self.source.register,
            samples=self.database,
            engine=Engine(
                self.database,
                lookback_ms=parse_duration(query.lookback_delta),
                max_samples=query.max_samples,
            ),
            queries=QueryLimits(
                threads=query.max_concurrency,
                timeout_s=parse_duration(query.timeout) / 1000,
                cache_bytes=query.cache_mb << 20,
            ),
            telemetry=self.page,
            timers=scheduler.timers,
            version=version("openmanager"),
            interval_s=self.interval_s,
            local=is_local(host_and_port(self.config.web.listen_address)[0]),
            alerter_url=self.config.alerter.url,
            access=access,
            analysis=self.analyst.report,
            ingest=self.database.ingest,
            kept=lambda: [each.entry() for each in self.database.kept()],
            longest_kept_ms=max(self.config.retention.by_tier_ms().values()),
            revision=lambda: self.database.revision,
            failures=failures,
            page_fault=failures.page_fault if failures is not None else all_well,
            checks=self.checks,
            now=self.clock.now,
        )


def _logged(look: Callable[..., None], *at: object) -> None:
    """Nobody waits for a look: what goes wrong in it has to be said here."""
    try:
        look(*at)
    except Exception:
        log.exception("analysis failed, the next tick is looked at again")
