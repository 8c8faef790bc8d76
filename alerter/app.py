"""The wiring: settings in, a running alerter out. The only module that knows everyone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web as aiohttp_web

from alerter import receivers, telemetry
from alerter.config import Config
from alerter.datasource.datasource import Datasource
from alerter.datasource.expansion import RuleTemplates, canonical, graph_link
from alerter.datasource.querier import Querier, QueryError
from alerter.datasource.remote_write import RemoteWriter
from alerter.decisions.evaluation import Restoration, Transition
from alerter.decisions.inhibition import Known, inhibited
from alerter.decisions.routing import Routing
from alerter.guard import guard
from alerter.loops import self_watch
from alerter.loops.delivery import Delivery
from alerter.loops.enrichment import Enrichment
from alerter.loops.evaluator import Evaluator
from alerter.loops.group_loop import GroupLoop, Surroundings
from alerter.loops.heartbeat import Heartbeat
from alerter.loops.maintenance import Maintenance, of_datasource
from alerter.loops.patience import DeliveryStats
from alerter.loops.self_watch import SelfWatch, ending_silences, failing_rules, silent_datasource
from alerter.receivers import ReceiverError, Secrets, WiredReceiver, wire
from alerter.rules.rules import AlertRule, RuleFileError
from alerter.state.board import Board
from alerter.state.silences import Silences
from alerter.state.state import Happened, Store, StoreError
from alerter.web import alertmanager_api, page, web
from alerter.web.alertmanager_config import written
from alerter.wiring import StartError, access, inhibit_rules, keeper, policies, read_rules, routes
from exporter.common_settings import host_and_port
from exporter.duration import parse_duration
from exporter.model import Labels

if TYPE_CHECKING:
    from alerter.state.lease import Lease

log = logging.getLogger(__name__)
_STOP_S = 18.0
_ENRICH_S = 2.0


def _write(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True, slots=True)
class World:
    """What comes from outside: clocks, chance and names. `now` gives Unix seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    write: Callable[[str], None] = _write
    host: Callable[[], str] = socket.gethostname


class _Notes:
    """What receivers remember, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        return self._store.note(key)

    def put(self, key: str, value: str | None) -> None:
        self._store.put_note(key, value)


class App:
    """One alerter: build it, then `run` it. Raises StartError when built."""

    def __init__(self, config: Config, secrets: Secrets, world: World | None = None) -> None:
        self.config = config
        self.world = world or World()
        self.board = Board()
        try:
            self.groups = read_rules(config)
            self.store = Store(keeper(config.state.url, self._name()), self.world.now)
        except (RuleFileError, StoreError) as err:
            raise StartError(str(err)) from None
        self.lease = self._lease()
        self.silences = Silences(self.store, self.world.now, self.world.new_id)
        self._inhibit = inhibit_rules(config)
        self._routes = routes(config)
        self._access = access(config)
        self._timeout_s = parse_duration(config.datasource.timeout) / 1_000
        self.querier = Querier(config.datasource.url, self._timeout_s)
        self.datasource = Datasource(self.querier.instant, self.querier.shown_url, self.world.now)
        write_url = config.remote_write.url
        self.writer = RemoteWriter(write_url, self._timeout_s) if write_url else None
        self.evaluator = Evaluator(lambda: read_rules(config), self.store, self._surroundings(), self_watch.KEY)
        try:
            self.wired = wire(config, secrets, self._receivers_world())
        except ReceiverError as err:
            raise StartError(str(err)) from None
        self._enrichment = Enrichment(
            self.querier.instant, self.querier.range, lambda: self.datasource.down_since is None, _ENRICH_S
        )
        self.routings: dict[str, Routing] = {}
        self.deliveries = [self._delivery(receiver) for receiver in self.wired.receivers]
        self._watch = self._self_watch()
        self._heartbeat = (
            Heartbeat(secrets.heartbeat_url, self._trouble, self.world.sleep) if secrets.heartbeat_url else None
        )
        self._maintenance = self._maintenance_windows()
        self._dirty = asyncio.Event()
        self._ready = self._overtaken = False
        self._registry = telemetry.registry(self._reading)

    def _surroundings(self) -> Surroundings:
        config = self.config
        templates = RuleTemplates(
            self.datasource.query,
            external_labels=config.external_labels,
            external_url=config.web.link,
            timeout_s=self._timeout_s + 1,
        )
        return Surroundings(
            query=self.datasource.query,
            templates=templates,
            board=self.board,
            saved=self._saved,
            now=self.world.now,
            sleep=self.world.sleep,
            link=lambda expr: graph_link(config.web.link, expr),
            restoration=Restoration(config.evaluation.seconds("grace"), config.evaluation.seconds("outage_tolerance")),
            writer=self.writer,
        )

    def _receivers_world(self) -> receivers.Surroundings:
        world = self.world
        return receivers.Surroundings(world.now, world.sleep, world.jitter, world.write, _Notes(self.store))

    def _delivery(self, wired: WiredReceiver) -> Delivery:
        name = receivers.routing_name(wired.receiver.name)
        routing = self.routings[name] = Routing(self._routes, name, policies(self.config), wired.policy)
        hushed = self._muted if wired.inhibited else self._silenced
        return Delivery(
            wired.receiver,
            wired.policy or policies(self.config),
            policy_of=routing.policy,
            board=self.board,
            store=self.store,
            muted=lambda known, now: {*hushed(known, now), *routing.muted(known, now)},
            now=self.world.now,
            sleep=self.world.sleep,
            jitter=self.world.jitter,
            patience=wired.patience,
            external_url=self.config.web.link,
            compose=self._enrichment,
            may_tell=None if self.lease is None else self.lease.sure,
        )

    def _silenced(self, known: Sequence[Known], now: float) -> Collection[Labels]:
        return self.silences.quiet([each.alert.labels for each in known])

    def _muted(self, known: Sequence[Known], now: float) -> Collection[Labels]:
        return inhibited(known, self._inhibit, now) | set(self._silenced(known, now))

    def _lease(self) -> Lease | None:
        """The leadership, where several alerters may share a Redis."""
        if self.config.state.url.startswith("sqlite:"):
            return None
        from alerter.state.lease import Lease

        return Lease(self.config.state.url, self._name(), self.world.sleep)

    def _name(self) -> str:
        """What names this alerter among those on one Redis."""
        return f"{self.world.host()}/{self.config.web.listen_address}"

    def _maintenance_windows(self) -> Maintenance | None:
        told = self.config.maintenance.url
        url = f"{told.rstrip('/')}/api/maintenance" if told else of_datasource(self.config.datasource.url)
        if not url:
            return None
        return Maintenance(url, self.silences, self._silences_changed, self.world.now, self.world.sleep)

    def _self_watch(self) -> SelfWatch:
        return SelfWatch(
            silent=lambda: silent_datasource(self.datasource),
            failing=lambda: failing_rules(self.evaluator.loops, self.datasource),
            ending=lambda: ending_silences(self.silences, self.board.known(), self.world.now()),
            board=self.board,
            store=self.store,
            now=self.world.now,
            sleep=self.world.sleep,
            after_s=self.config.evaluation.seconds("self_alert_after"),
        )

    def _trouble(self) -> str:
        """Why the heartbeat is withheld; nothing while all is well."""
        if self.datasource.down_since is not None:
            return "the datasource does not answer"
        if not self.store.stats().up:
            return "state is not written"
        if failing := [name for name, stats in self._receivers().items() if stats.failing_since is not None]:
            return f"not accepted by {', '.join(failing)}"
        late = [loop.group.name for loop in self.evaluator.loops if loop.is_late(self.world.now())]
        return f"groups not evaluated: {', '.join(late)}" if late else ""

    # -- saving -----------------------------------------------------------------------------------

    def _saved(self, loop: GroupLoop, t: float, steps: Sequence[Transition]) -> None:
        """After an evaluation: keep the states, note the steps."""
        for rule, run in zip(loop.group.rules, loop.runs, strict=True):
            if isinstance(rule, AlertRule) and not run.kept:
                self.store.put_rule(run.key, run.state)
        states = {run.key: run.state for run in loop.runs}
        for alertmanager in self.wired.alertmanagers:
            alertmanager.offer(states, t, loop.group.interval_s)
        self.store.happened(
            [
                Happened(step.t, "transition", str(step.change), step.alert.labels, value=step.alert.value)
                for step in steps
            ]
        )
        self._dirty.set()

    async def _flushing(self) -> None:
        """Write what changed, soon after it did; one that could not be written is tried again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), 5)
            self._dirty.clear()
            try:
                await asyncio.to_thread(self.store.flush)
            except Exception:
                log.exception("state not written")

    # -- showing ----------------------------------------------------------------------------------

    def _receivers(self) -> dict[str, DeliveryStats]:
        told = {delivery.receiver.name: delivery.stats for delivery in self.deliveries}
        return told | {alertmanager.name: alertmanager.stats for alertmanager in self.wired.alertmanagers}

    def _reading(self) -> telemetry.Reading:
        return telemetry.Reading(
            loops=self.evaluator.loops,
            receivers=self._receivers(),
            store=self.store.stats(),
            datasource_up=self.datasource.down_since is None,
            queries=self.querier.stats.queries,
            query_failures=self.querier.stats.failures,
            reloads=self.evaluator.reloads,
            failed_reloads=self.evaluator.failed_reloads,
            series=[series.stats() for series in self.wired.series],
            silences=len(self.silences.active()),
        )

    def _page(self) -> str:
        return page.render(
            page.Facts(
                now=self.world.now(),
                loops=self.evaluator.loops,
                receivers=self._receivers(),
                silences=self.silences.all(),
                datasource=self.datasource.shown_url,
                datasource_error=self.datasource.last_error if self.datasource.down_since else "",
                reload_error=self.evaluator.last_reload_error,
                state_up=self.store.stats().up,
            )
        )

    async def _graph(self, expr: str) -> str:
        try:
            return page.graph(expr, await self.querier.instant(expr, self.world.now()), "")
        except QueryError as err:
            return page.graph(expr, (), str(err))

    def _site(self) -> web.Site:
        return web.Site(
            loops=lambda: self.evaluator.loops,
            canonical=canonical,
            history=lambda start, end, limit: asyncio.to_thread(self.store.history, start, end, limit),
            reload=self.evaluator.reload,
            ready=lambda: self._ready,
            telemetry=lambda: telemetry.text(self._registry),
            page=self._page,
            graph=self._graph,
            now=self.world.now,
        )

    def _alertmanager(self) -> alertmanager_api.Alertmanager:
        return alertmanager_api.Alertmanager(
            silences=self.silences,
            known=self.board.known,
            inhibited=lambda: inhibited(self.board.known(), self._inhibit, self.world.now()),
            receivers={name: routing.policy for name, routing in self.routings.items()},
            changed=self._silences_changed,
            now=self.world.now,
            started_at=self.world.now(),
            config=written(self.config, list(self.routings)),
        )

    def _silences_changed(self) -> None:
        self.board.touch()
        self._dirty.set()

    # -- running ----------------------------------------------------------------------------------

    async def run(self, started: Callable[[], None] = lambda: None) -> bool:
        """Run until SIGINT or SIGTERM, True, or until another alerter leads, False.

        Raises StartError where the address cannot be listened on.
        """
        stop = asyncio.Event()
        runner = await self._listen()
        try:
            self._signals(stop)
            if not await self._leads(stop):
                return True
            await self._load()
            async with contextlib.AsyncExitStack() as clients:
                await clients.enter_async_context(self.querier)
                if self.writer is not None:
                    await clients.enter_async_context(self.writer)
                self.evaluator.start(self.groups)
                started()
                await self._until_stopped(stop, [*self._tasks(), *self._renewing(stop)])
            return not self._overtaken
        finally:
            await runner.cleanup()
            await asyncio.to_thread(self.store.close)
            if self.lease is not None:  # last: who leads next reads what was written
                await asyncio.to_thread(self.lease.release)

    async def _leads(self, stop: asyncio.Event) -> bool:
        """Waits until this alerter leads; False where it was told to stop before."""
        self._ready = True
        if self.lease is None:
            return True
        leading, stopping = asyncio.ensure_future(self.lease.taken()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((leading, stopping), return_when=asyncio.FIRST_COMPLETED)
            return leading.done()
        finally:
            leading.cancel()
            stopping.cancel()

    def _renewing(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        lease = self.lease
        if lease is None:
            return []

        async def renew() -> None:
            await lease.lost()
            log.error("another alerter leads now, stopping")
            self._overtaken = True
            stop.set()

        return [asyncio.create_task(renew())]

    def _tasks(self) -> list[asyncio.Task[None]]:
        loops: list[Coroutine[Any, Any, None]] = [self._flushing()]
        loops += [delivery.run() for delivery in self.deliveries]
        loops.append(self._watch.run())
        if self._maintenance is not None:
            loops.append(self._maintenance.run())
        if self._heartbeat is not None:
            loops.append(self._heartbeat.run())
        loops += [series.run(self.datasource.query) for series in self.wired.series]
        loops += [alertmanager.run() for alertmanager in self.wired.alertmanagers]
        return [asyncio.create_task(loop) for loop in loops]

    async def _until_stopped(self, stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
        await stop.wait()
        log.info("stopping")
        self._ready = False
        await self.evaluator.stop()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), _STOP_S)

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self.store.load)
        except StoreError as err:
            log.warning("kept state not read, starting without it err=%s", err)

    async def _listen(self) -> aiohttp_web.AppRunner:
        host, port = host_and_port(self.config.web.listen_address)
        tables = (web.routes(self._site()), alertmanager_api.routes(self._alertmanager()))
        runner = aiohttp_web.AppRunner(web.application(*tables, guard=guard(self._access)), access_log=None)
        await runner.setup()
        try:
            await aiohttp_web.TCPSite(runner, host, port, ssl_context=self._access.ssl).start()
        except OSError as err:
            await runner.cleanup()
            reason = os.strerror(err.errno) if err.errno and err.errno > 0 else err.strerror or str(err)
            raise StartError(f"--web.listen-address {self.config.web.listen_address}: {reason}") from None
        return runner

    def _signals(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._background(self._reload()))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._reloading = task  # a task that nobody holds may be collected while it runs

    async def _reload(self) -> None:
        with contextlib.suppress(RuleFileError):
            await self.evaluator.reload()
