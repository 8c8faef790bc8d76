"""A web room that a browser looks at, which can go away and come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from playwright.async_api import Browser

from exporter.web.live import Live
from exporter.web.server import build
from tests.servers import free_port
from tests.web.browser import Visit, visit
from tests.web.fleet import T0_MS, FleetMaker
from tests.web.site import Broken, Kept, parts

NOW_S = T0_MS / 1000 + 46
LIVE = "document.querySelector('#connection').dataset.state === 'live'"
ROWS = "document.querySelectorAll('.servers tbody tr').length"


@dataclass
class Exporter:
    """A room at a fixed port over a small fleet of three ticks."""

    maker: FleetMaker
    live: Live
    failures: Broken
    port: int
    samples: Kept
    changed: dict[str, object]
    runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        room = build(parts(self.live, self.samples, failures=self.failures, **self.changed))
        self.runner = web.AppRunner(room.application, shutdown_timeout=0.5)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None


@asynccontextmanager
async def exporting(*servers: str, **changed: object) -> AsyncIterator[Exporter]:
    """A running room; changed: other parts than usual."""
    maker = FleetMaker(*(servers or ("api-01", "db-01", "web-01", "web-02")))
    snapshots = [maker.at(tick) for tick in (1, 2, 3)]
    exporter = Exporter(maker, Live(), Broken(), free_port(), Kept(snapshots), changed)
    for snapshot in snapshots:
        exporter.live.publish(snapshot)
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.stop()


@asynccontextmanager
async def looking(
    browser: Browser,
    path: str = "/",
    *,
    width: int = 1280,
    height: int = 900,
    theme: str = "dark",
    language: str = "en",
    **changed: object,
) -> AsyncIterator[tuple[Visit, Exporter]]:
    """A live page of a running room; at the end it must have asked nobody else."""
    async with (
        exporting(**changed) as exporter,
        visit(
            browser, exporter.url + path, width=width, height=height, theme=theme, language=language, now_s=NOW_S
        ) as seen,
    ):
        await seen.until(LIVE)
        yield seen, exporter
        assert seen.foreign(exporter.url, f"ws://127.0.0.1:{exporter.port}") == []
