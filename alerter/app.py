"""A running alerter: it listens, waits until it leads, runs its loops until it is stopped, and leaves in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiohttp import web as aiohttp_web

from alerter import showing
from alerter.config import Config
from alerter.guard import guard
from alerter.parts import Parts, World
from alerter.rules.rules import RecordRule, RuleFileError
from alerter.secrets import Secrets
from alerter.state.state import StoreError
from alerter.web import alertmanager_api, web
from alerter.wiring import StartError
from exporter import heap
from exporter.common_settings import host_and_port

log = logging.getLogger(__name__)
_STOP_S = 18.0
_TRIM_S = 60.0


class App:
    """One alerter: build it, then `run` it. Raises StartError when built."""

    def __init__(self, config: Config, secrets: Secrets, world: World | None = None) -> None:
        self.parts = Parts(config, secrets, world or World())
        self._ready = self._standing_by = self._overtaken = False

    def tables(self) -> tuple[Sequence[aiohttp_web.RouteDef], ...]:
        """All that is served."""
        shown = showing.Showing(self.parts, ready=lambda: self._ready, standing_by=lambda: self._standing_by)
        return web.routes(shown.site()), alertmanager_api.routes(shown.alertmanager())

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
                await clients.enter_async_context(self.parts.querier)
                if self.parts.writer is not None:
                    await clients.enter_async_context(self.parts.writer)
                self.parts.evaluator.start(self.parts.groups)
                self._warn_of_what_nobody_keeps()
                started()
                await self._until_stopped(stop, [*self._tasks(), *self._renewing(stop)])
            return not self._overtaken
        finally:
            await runner.cleanup()
            await asyncio.to_thread(self.parts.store.close)
            if self.parts.lease is not None:  # last: who leads next reads what was written
                await asyncio.to_thread(self.parts.lease.release)

    async def _leads(self, stop: asyncio.Event) -> bool:
        """Waits until this alerter leads; False where it was told to stop before."""
        self._ready = True
        if self.parts.lease is None:
            return True
        self._standing_by = True
        leading, stopping = asyncio.ensure_future(self.parts.lease.taken()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((leading, stopping), return_when=asyncio.FIRST_COMPLETED)
            return leading.done()
        finally:
            self._standing_by = False
            leading.cancel()
            stopping.cancel()

    def _renewing(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        lease = self.parts.lease
        if lease is None:
            return []

        async def renew() -> None:
            await lease.lost()
            log.error("another alerter leads now, stopping")
            self._overtaken = True
            stop.set()

        return [asyncio.create_task(renew())]

    def _tasks(self) -> list[asyncio.Task[None]]:
        loops: list[Coroutine[Any, Any, None]] = [self.parts.saving.run(), self._trimming()]
        loops += [delivery.run() for delivery in self.parts.deliveries]
        loops.append(self.parts.watch.run())
        if self.parts.maintenance is not None:
            loops.append(self.parts.maintenance.run())
        if self.parts.heartbeat is not None:
            loops.append(self.parts.heartbeat.run())
        loops += [series.run(self.parts.datasource.query) for series in self.parts.wired.series]
        loops += [alertmanager.run() for alertmanager in self.parts.wired.alertmanagers]
        return [asyncio.create_task(loop) for loop in loops]

    async def _trimming(self) -> None:
        """What a storm of alerts needed for a moment goes back to the system."""
        while True:
            await self.parts.world.sleep(_TRIM_S)
            await asyncio.to_thread(heap.trim)

    async def _until_stopped(self, stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
        await stop.wait()
        log.info("stopping")
        self._ready = False
        await self.parts.evaluator.stop()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), _STOP_S)

    def _warn_of_what_nobody_keeps(self) -> None:
        rules = [rule for group in self.parts.groups for rule in group.rules]
        recorded = sorted({rule.name for rule in rules if isinstance(rule, RecordRule)})
        if recorded and self.parts.writer is None:
            log.warning(
                "nobody keeps what recording rules record, remote-write.url is not set names=%s", ",".join(recorded)
            )

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self.parts.store.load)
        except StoreError as err:
            log.warning("kept state not read, starting without it err=%s", err)

    async def _listen(self) -> aiohttp_web.AppRunner:
        host, port = host_and_port(self.parts.config.web.listen_address)
        runner = aiohttp_web.AppRunner(web.application(*self.tables(), guard=guard(self.parts.access)), access_log=None)
        await runner.setup()
        try:
            await aiohttp_web.TCPSite(runner, host, port, ssl_context=self.parts.access.ssl).start()
        except OSError as err:
            await runner.cleanup()
            reason = os.strerror(err.errno) if err.errno and err.errno > 0 else err.strerror or str(err)
            raise StartError(f"--web.listen-address {self.parts.config.web.listen_address}: {reason}") from None
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
            await self.parts.evaluator.reload()
