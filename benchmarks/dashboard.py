"""The dashboard in a real Chromium: weight, first render, the cost of a tick, and whether its memory grows."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from benchmarks.figure import Figure
from benchmarks.process import Exporter, exporter
from exporter.web.server import STATIC

RENDERS, WARM, TICKS = 7, 600, 1_000
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

# Notes when the first row of the table is there, and keeps hold of the socket so that ticks can be played to the page.
BEFORE = """
new MutationObserver((_, watching) => {
  if (!document.querySelector(".servers tbody tr")) return;
  watching.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { globalThis.firstRender = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
const Plain = WebSocket;
globalThis.WebSocket = class extends Plain {
  constructor(...of) { super(...of); globalThis.socket = this; }
};
"""

# Every server changes at every tick. Without `shown` the same is done but nothing told to the page.
PLAY = """
async ([ticks, shown]) => {
  const heard = globalThis.last ??= await new Promise((resolve) => {
    const take = socket.onmessage;
    socket.onmessage = (event) => {
      if (event.data.includes('"channel":"server-metrics"')) resolve(JSON.parse(event.data));
      take(event);
    };
    globalThis.take = take;
  });
  for (let i = 0; i < ticks; i++) {
    heard.seq += 1;
    heard.type = "snapshot";
    heard.data.tick += 15;
    for (const server of heard.data.servers) {
      server.cpu = Math.round(Math.random() * 1000) / 10;
      server.memory = Math.round(Math.random() * 1000) / 10;
      server.requests = Math.round(Math.random() * 1000) / 10;
    }
    const data = JSON.stringify(heard);
    if (shown) take({ data });
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  }
}
"""


def figures() -> Iterator[Figure]:
    """Against an exporter as a user starts it, with 20 and with 200 servers."""
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css")]
    weight = sum(len(gzip.compress(path.read_bytes())) for path in files)
    yield Figure("JavaScript and CSS, gzipped", weight / 1e3, "kB", 60.0)
    for servers, most_ms in ((20, 8.0), (200, 16.0)):
        with tempfile.TemporaryDirectory() as folder, exporter(Path(folder), "--fleet.servers", str(servers)) as room:
            renders, took, heaps = asyncio.run(_measured(room))
        if servers == 20:
            yield Figure(f"first render of the fleet (median of {RENDERS})", statistics.median(renders), "ms", 300.0)
        yield Figure(f"a tick of {servers} servers in the page, script to paint (mean of {TICKS})", took, "ms", most_ms)
        yield Figure(f"heap after {TICKS} ticks of {servers} servers, of that before", heaps[1] / heaps[0], "x", 1.05)


async def _measured(room: Exporter) -> tuple[list[float], float, tuple[float, float]]:
    """Milliseconds of first renders, of a tick, and the heap before and after the ticks in bytes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        renders = [await _rendered(browser, room) for _ in range(RENDERS)]
        page = await _opened(browser, room)
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        await page.evaluate(PLAY, [WARM, True])
        before = await _heap(session)
        shown = await _busy(session, page, True)
        after = await _heap(session)
        took = (shown - await _busy(session, page, False)) / TICKS * 1e3
        await browser.close()
    return renders, took, (before, after)


async def _opened(browser: Browser, room: Exporter) -> Page:
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    await page.add_init_script(BEFORE)
    await page.goto(f"http://127.0.0.1:{room.port}/")
    while not await page.evaluate("globalThis.firstRender ?? 0"):
        await asyncio.sleep(0.02)
    return page


async def _rendered(browser: Browser, room: Exporter) -> float:
    page = await _opened(browser, room)
    took = float(await page.evaluate("firstRender"))
    await page.close()
    return took


async def _busy(session: CDPSession, page: Page, shown: bool) -> float:
    """Processor seconds of the page's thread for all ticks: script, style, layout and paint."""
    before = await _task_s(session)
    await page.evaluate(PLAY, [TICKS, shown])
    return await _task_s(session) - before


async def _task_s(session: CDPSession) -> float:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


async def _heap(session: CDPSession) -> float:
    await session.send("HeapProfiler.collectGarbage")
    used = await session.send("Runtime.getHeapUsage")
    return float(used["usedSize"])
