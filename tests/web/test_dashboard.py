"""The dashboard, in a real Chromium."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from exporter.web.live import Live
from exporter.web.server import STATIC, Web, build
from tests.servers import free_port
from tests.web.browser import Page, browser
from tests.web.fleet import FleetMaker
from tests.web.site import Broken, Kept, parts, site

ROWS = "document.querySelectorAll('tbody tr').length"


@dataclass
class Exporter:
    """A room at a fixed port that can go away and come back."""

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
        room: Web = build(parts(self.live, self.samples, failures=self.failures, **self.changed))
        self.runner = web.AppRunner(room.application, shutdown_timeout=0.5)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None


@asynccontextmanager
async def watched(
    path: str = "/", width: int = 1280, theme: str = "dark", **changed: object
) -> AsyncIterator[tuple[Page, Exporter]]:
    """A page of a running exporter; at the end it must have had no problem and asked nobody else."""
    maker = FleetMaker("api-01", "db-01", "web-01", "web-02")
    samples = Kept([maker.at(tick) for tick in (1, 2, 3)])
    exporter = Exporter(maker, Live(), Broken(), free_port(), samples, changed)
    for snapshot in exporter.samples.snapshots:
        exporter.live.publish(snapshot)
    await exporter.start()
    try:
        async with browser() as page:
            await page.open(exporter.url + path, width=width, theme=theme)
            await page.until("document.querySelector('#connection').dataset.state === 'live'")
            yield page, exporter
            foreign = [
                url for url in page.requested if not url.startswith((exporter.url, f"ws://127.0.0.1:{exporter.port}"))
            ]
            assert foreign == []
    finally:
        await exporter.stop()


async def test_values_and_status_change_as_they_come() -> None:
    async with watched() as (page, exporter):
        await page.until(f"{ROWS} === 4")
        assert await page.eval("document.querySelector('.counts .healthy').textContent") == "4 healthy"
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await page.until("document.querySelector('.counts .critical').textContent === '1 critical'")
        row = await page.eval("document.querySelector('tbody tr:has(.status.critical)').innerText")
        assert "web-02" in row
        assert "cpu 97 > 90" in row
        assert page.problems == []


async def test_filters_sorting_and_search_are_in_the_url() -> None:
    async with watched("/?q=web&sort=cpu") as (page, exporter):
        await page.until(f"{ROWS} === 2")
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await page.until("document.querySelector('tbody a').textContent === 'web-02'")
        await page.eval("document.querySelector('.counts button.critical').click()")
        await page.until(f"{ROWS} === 1 && location.search.includes('status=critical')")
        await page.key("Escape")
        await page.until(f"{ROWS} === 4")
        assert page.problems == []


async def test_the_keyboard_alone_opens_a_server_and_comes_back() -> None:
    async with watched() as (page, _):
        await page.until(f"{ROWS} === 4")
        await page.key("/")
        assert await page.eval("document.activeElement.id") == "search"
        for key in "db":
            await page.key(key)
        await page.until(f"{ROWS} === 1")
        await page.key("Escape")
        await page.key("j")
        await page.key("Enter")
        await page.until("location.pathname === '/servers/db-01' && document.querySelectorAll('.chart').length === 8")
        await page.key("1")
        await page.until("location.search === '?range=15m'")
        await page.key("Escape")
        await page.until(f"location.pathname === '/' && {ROWS} > 0")
        await page.key("?")
        await page.until("document.querySelector('#help').open")
        assert page.problems == []


async def test_a_server_page_draws_its_charts_from_the_query_api() -> None:
    async with watched("/servers/web-01?range=15m") as (page, _):
        await page.until("document.querySelector('h1').textContent === 'web-01'")
        await page.until("document.querySelector('.facts').innerText.includes('40.0%')")
        queried = [url for url in page.requested if "query_range" in url]
        assert len(queried) >= 12
        await page.until("document.querySelectorAll('.chart .plot > *').length === 8")
        assert page.problems == []


async def test_it_reconnects_by_itself_after_the_exporter_was_away() -> None:
    async with watched() as (page, exporter):
        await page.until(f"{ROWS} === 4")
        await exporter.stop()
        await page.until("document.querySelector('#connection').dataset.state === 'lost'")
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await exporter.start()
        await page.until("document.querySelector('#connection').dataset.state === 'live'", 40)
        await page.until("document.querySelector('.counts .critical').textContent === '1 critical'")


async def test_a_failure_is_injected_and_cleared_in_the_drawer() -> None:
    async with watched() as (page, exporter):
        await page.until(f"{ROWS} === 4")
        await page.eval("document.querySelector('#control-open').click()")
        await page.until("document.querySelector('#control form select')")
        await page.eval("document.querySelector('#control [name=targets]').options[2].selected = true")
        await page.eval("document.querySelector('#control .primary').click()")
        await page.until("document.querySelector('#control section li')")
        (failure,) = exporter.failures.failures.values()
        assert (failure.type, failure.targets, failure.duration_s) == ("cpu_spike", ("web-01",), 300.0)
        await page.eval("document.querySelector('#control section button').click()")
        await page.until("!document.querySelector('#control section li')")
        assert exporter.failures.failures == {}
        assert page.problems == []


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", ["/", "/servers/web-01"])
async def test_no_page_is_wider_than_its_window(path: str, width: int, theme: str) -> None:
    async with watched(path, width, theme) as (page, _):
        await page.until("document.querySelector('main').children.length > 2")
        await asyncio.sleep(0.3)
        assert await page.eval("document.documentElement.scrollWidth") <= width
        assert await page.eval("document.documentElement.dataset.theme") == theme


INCIDENT = {
    "title": {"en": "web-01: CPU unusually high", "ko": "web-01: CPU 이상 상승"},
    "servers": ["web-01"],
    "confidence": 0.93,
    "recommendation": {"en": "Look for the busiest process.", "ko": "프로세스를 확인하세요."},
}
FULL = {"server": "db-01", "mount": "/data", "seconds_to_full": 7200}


async def test_incidents_and_forecasts_are_told_in_words() -> None:
    report = {"incidents": [INCIDENT], "forecasts": [FULL], "series_watched": 28}
    async with watched(analysis=lambda: report) as (page, _):
        await page.until("document.querySelector('.side').innerText.includes('CPU unusually high')")
        said = await page.eval("document.querySelector('.side').innerText")
        assert "/data full in 2h" in said
        assert "Look for the busiest process." in said
        assert page.problems == []


async def test_theme_and_language_can_be_changed_and_stay() -> None:
    async with watched() as (page, exporter):
        await page.key("t")
        await page.until("document.documentElement.dataset.theme === 'light'")
        await page.eval("document.querySelector('#language').click()")
        await page.until("document.documentElement.lang === 'ko' && document.body.innerText.includes('정상')")
        await page.call("Page.navigate", url=exporter.url + "/servers/web-01")
        await page.until("document.body.innerText.includes('전체 서버')")
        assert await page.eval("document.documentElement.dataset.theme") == "light"
        assert page.problems == []


async def test_the_policy_allows_nothing_from_elsewhere() -> None:
    async with site() as client, client.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_static_files_are_cached_by_their_content_and_nothing_else_is_served() -> None:
    async with site() as client:
        async with client.get("/static/app.js") as response:
            assert response.content_type == "text/javascript"
            tag = response.headers["ETag"]
        async with client.get("/static/app.js", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        for name in ("nothing.js", "..%2f__init__.py", "%2e%2e/server.py"):
            async with client.get(f"/static/{name}") as response:
                assert response.status == 404


def test_scripts_and_styles_weigh_less_than_60_kb_gzipped() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 60_000


def test_both_languages_have_the_same_words() -> None:
    text = (STATIC / "i18n.js").read_text("utf-8")
    english, korean = text.split("const KO")
    keys = [set(re.findall(r"(\w+): \"", part)) for part in (english, korean)]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 60
