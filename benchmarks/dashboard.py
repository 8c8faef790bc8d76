"""The dashboard in a real Chromium: weight, first render, the cost of a tick, and whether its memory grows."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from benchmarks.figure import Figure, percentile
from benchmarks.process import Exporter, exporter
from exporter.web.server import STATIC

RENDERS, WARM, TICKS = 7, 100, 1_000
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

# Every server changes at every tick. What is measured: reading the message, drawing, style and layout.
PLAY = """
async (ticks) => {
  const heard = globalThis.last ??= await new Promise((resolve) => {
    const take = socket.onmessage;
    socket.onmessage = (event) => {
      if (event.data.includes('"channel":"server-metrics"')) resolve(JSON.parse(event.data));
      take(event);
    };
    globalThis.take = take;
  });
  const frame = globalThis.frame ??= requestAnimationFrame;
  const took = [];
  for (let i = 0; i < ticks; i++) {
    heard.seq += 1;
    heard.type = "snapshot";
    heard.data.tick += 1;
    for (const server of heard.data.servers) {
      server.cpu = Math.round(Math.random() * 1000) / 10;
      server.memory = Math.round(Math.random() * 1000) / 10;
      server.requests = Math.round(Math.random() * 1000) / 10;
    }
    const data = JSON.stringify(heard);
    let spent = 0;
    globalThis.requestAnimationFrame = (draw) => frame((t) => {
      const started = performance.now();
      draw(t);
      document.body.offsetHeight;
      took.push(spent + performance.now() - started);
    });
    const started = performance.now();
    take({ data });
    spent = performance.now() - started;
    await new Promise((resolve) => frame(() => setTimeout(resolve)));
  }
  globalThis.requestAnimationFrame = frame;
  return took;
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
        yield Figure(f"a tick of {servers} servers in the page: median", statistics.median(took), "ms", most_ms)
        yield Figure(f"a tick of {servers} servers in the page: p99", percentile(took, 99), "ms")
        yield Figure(f"heap after {TICKS} ticks of {servers} servers, of that before", heaps[1] / heaps[0], "x", 1.05)


async def _measured(room: Exporter) -> tuple[list[float], list[float], tuple[float, float]]:
    """Milliseconds of first renders and of ticks, and the heap before and after the ticks in bytes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        renders = [await _rendered(browser, room) for _ in range(RENDERS)]
        page = await _opened(browser, room)
        await page.evaluate(PLAY, WARM)
        before = await _heap(page)
        took = await page.evaluate(PLAY, TICKS)
        after = await _heap(page)
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


async def _heap(page: Page) -> float:
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    used = await session.send("Runtime.getHeapUsage")
    return float(used["usedSize"])
