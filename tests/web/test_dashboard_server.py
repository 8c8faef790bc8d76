"""The dashboard in a real Chromium: the page of one server, and what every page must be."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from exporter.access import Access
from exporter.web.control import Injection
from tests.web.browser import visit
from tests.web.dashboard import NOW_S, exporting, looking
from tests.web.test_dashboard_page import REPORT

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAWN = "document.querySelectorAll('.chart .u-wrap canvas').length"


async def test_charts_are_drawn_from_the_query_api_with_their_figures_and_their_promql(browser: Browser) -> None:
    async with looking(browser, "/servers/web-01?range=15m", height=1400) as (seen, _):
        page = seen.page
        await seen.until(f"{DRAWN} >= 4")
        chart = page.locator(".chart", has_text="Memory")
        row = await chart.locator(".legend tbody tr").inner_text()
        assert row.split() == ["memory", "50.0%", "50.0%", "50.0%", "50.0%"]
        await chart.locator("summary").click()
        assert await chart.locator("pre").inner_text() == 'openmanager_memory_usage_percent{server="web-01"}'
        assert "40.0%" in await page.locator(".figures").inner_text()
        assert "web" in await page.locator(".facts").inner_text()
        assert seen.problems == []


async def test_ranges_and_zoom_are_in_the_url_and_escape_goes_back_step_by_step(browser: Browser) -> None:
    async with looking(browser, "/servers/web-01?range=15m", height=1400) as (seen, _):
        page = seen.page
        await seen.until(f"{DRAWN} >= 4")
        box = await page.locator(".chart .u-over").first.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
        await page.mouse.up()
        await seen.until("/from=\\d+&to=\\d+/.test(location.search)")
        await page.keyboard.press("Escape")
        await seen.until("location.search === '?range=15m'")
        await page.keyboard.press("4")
        await seen.until("location.search === '?range=24h'")
        await page.keyboard.press("Escape")
        await seen.until("location.pathname === '/'")


async def test_a_pointer_on_one_chart_shows_the_moment_in_all(browser: Browser) -> None:
    async with looking(browser, "/servers/web-01?range=15m", height=1400) as (seen, _):
        await seen.until(f"{DRAWN} >= 4")
        await seen.page.locator(".chart .u-over").first.hover(position={"x": 60, "y": 50})
        shown = "[...document.querySelectorAll('.u-cursor-x')].filter((x) => !x.classList.contains('u-off')).length"
        await seen.until(f"{shown} >= 4")


async def test_what_was_simulated_is_asked_for_the_range_that_is_shown(browser: Browser) -> None:
    async with looking(browser, "/servers/web-01?range=15m&truth=1") as (seen, exporter):
        exporter.failures.inject(Injection("one", "cpu_spike", ("web-01",), 300.0, None, 1.0))
        await seen.until(f"{DRAWN} >= 4")
        assert any("/api/truth?start=" in url for url in seen.requested)
        assert seen.problems == []


async def test_a_query_that_fails_says_so_in_its_place_and_can_be_tried_again(browser: Browser) -> None:
    async with looking(browser, "/servers/web-01?range=15m") as (seen, _):
        page = seen.page
        await page.route("**/query_range?*memory_usage*", lambda route: route.fulfill(status=503, body="{}"))
        await page.keyboard.press("2")
        chart = page.locator(".chart", has_text="Memory")
        await chart.get_by_role("button", name="Try again").wait_for()
        assert "Could not load" in await chart.inner_text()
        await page.unroute("**/query_range?*memory_usage*")
        await chart.get_by_role("button", name="Try again").click()
        await chart.locator(".u-wrap").wait_for()


async def test_a_server_that_is_not_there_is_said_to_be_none(browser: Browser) -> None:
    async with looking(browser, "/servers/nothing") as (seen, _):
        await seen.until("document.querySelector('main .notice').innerText === 'There is no server nothing.'")


async def test_where_the_exporter_asks_who_one_is_a_token_lets_in(browser: Browser) -> None:
    access = Access(tokens={"ana": "t0k"})
    async with exporting(access=access) as exporter, visit(browser, exporter.url, now_s=NOW_S) as seen:
        page = seen.page
        await page.locator("#control-open").click()
        await page.locator("#control").get_by_label("web-01").check()
        await page.locator("#control .primary").click()
        await seen.until("document.querySelector('#control .error').textContent.includes('token')")
        await page.locator("#control").get_by_label("Token").fill("t0k")
        await page.locator("#control .primary").click()
        await seen.until("document.querySelector('#control section li')")
        assert [failure.targets for failure in exporter.failures.failures.values()] == [("web-01",)]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [360, 1280, 3840])
@pytest.mark.parametrize("path", ["/", "/servers/web-01"])
async def test_no_page_is_wider_than_its_window(browser: Browser, path: str, width: int, theme: str) -> None:
    async with looking(browser, path, width=width, theme=theme, analysis=lambda: REPORT) as (seen, _):
        await seen.until("document.querySelector('main').children.length > 2")
        await seen.until(f"location.pathname === '/' || {DRAWN} >= 4")
        assert await seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert await seen.page.evaluate("document.documentElement.dataset.theme") == theme
        assert seen.problems == []


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/?group=status", "/servers/web-02?range=15m", "drawer"])
async def test_axe_finds_no_violation(browser: Browser, path: str, theme: str, language: str) -> None:
    start = "/" if path == "drawer" else path
    async with looking(browser, start, theme=theme, language=language, analysis=lambda: REPORT) as (seen, exporter):
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97, "memory_usage_percent": 90}))
        exporter.failures.inject(Injection("one", "cpu_spike", ("web-01",), 300.0, None, 1.0))
        await seen.until("document.querySelector('.status.critical')")
        if path == "drawer":
            await seen.page.locator("#control-open").click()
            await seen.until("document.querySelector('#control section li')")
        found = await Axe().run(seen.page)
        assert found.violations_count == 0, found.generate_report()
        assert seen.problems == []
