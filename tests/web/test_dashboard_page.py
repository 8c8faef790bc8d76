"""The dashboard in a real Chromium: the page of all servers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import Browser

from exporter.model import Limits, Maintenance
from exporter.web.control import Injection
from tests.web.browser import visit
from tests.web.dashboard import LIVE, NOW_S, ROWS, exporting, looking
from tests.web.fleet import T0_MS
from tests.web.site import Book

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_values_and_status_change_as_they_come(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        await seen.until(f"{ROWS} === 4")
        counts = seen.page.locator("#counts")
        assert await counts.locator(".healthy").inner_text() == "4\nhealthy"
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await seen.until("document.querySelector('#counts .critical b').textContent === '1'")
        row = await seen.page.locator("tbody tr", has=seen.page.locator(".status.critical")).inner_text()
        assert "web-02" in row
        assert "cpu 97 > 90" in row
        assert "97.0%" in row
        assert seen.problems == []


async def test_filters_order_grouping_and_search_are_in_the_url(browser: Browser) -> None:
    async with looking(browser, "/?q=web&sort=cpu&group=environment&fill=memory") as (seen, exporter):
        page = seen.page
        await seen.until(f"{ROWS} === 2")
        assert await page.locator("select[name=group]").input_value() == "environment"
        assert await page.locator("select[name=fill]").input_value() == "memory"
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await seen.until("document.querySelector('tbody a').textContent === 'web-02'")
        await page.locator("#counts .critical").click()
        await seen.until(f"{ROWS} === 1 && location.search.includes('status=critical')")
        await page.locator("th button", has_text="Memory").click()
        await page.locator("select[name=group]").select_option("status")
        await seen.until("location.search.includes('sort=memory') && location.search.includes('group=status')")
        await page.keyboard.press("Escape")
        await seen.until("location.search.includes('sort=memory')")
        await page.locator("body").press("Escape")
        await seen.until(f"{ROWS} === 4 && !location.search.includes('q=')")
        assert seen.problems == []


async def test_what_matches_nothing_says_so_and_offers_a_way_back(browser: Browser) -> None:
    async with looking(browser, "/?q=nothing") as (seen, _):
        await seen.page.get_by_role("button", name="Show all").click()
        await seen.until(f"{ROWS} === 4")


async def test_the_keyboard_alone_opens_a_server_and_comes_back(browser: Browser) -> None:
    async with looking(browser) as (seen, _):
        keyboard = seen.page.keyboard
        await seen.until(f"{ROWS} === 4")
        await keyboard.press("/")
        await keyboard.type("db")
        await seen.until(f"{ROWS} === 1")
        for key in ("Escape", "j", "Enter"):
            await keyboard.press(key)
        await seen.until("location.pathname === '/servers/db-01' && document.querySelectorAll('.chart').length === 10")
        await keyboard.press("1")
        await seen.until("location.search === '?range=15m'")
        await keyboard.press("Escape")
        await seen.until(f"location.pathname === '/' && {ROWS} > 0")
        await keyboard.press("?")
        await seen.until("document.querySelector('#help').open")
        assert seen.problems == []


async def test_the_map_is_walked_with_the_arrows_and_tells_where_one_is(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        page = seen.page
        exporter.live.publish(exporter.maker.at(4, db_01={"cpu_usage_percent": 97}))
        await seen.until("document.querySelector('#counts .critical b').textContent === '1'")
        await page.locator(".map canvas").focus()
        assert "4 servers by CPU" in str(await page.locator(".map canvas").get_attribute("aria-label"))
        assert await page.locator("#map-now").inner_text() == "api-01: healthy"
        await page.keyboard.press("ArrowRight")
        assert await page.locator("#map-now").inner_text() == "db-01: critical, cpu 97 > 90"
        await page.keyboard.press("End")
        assert await page.locator("#map-now").inner_text() == "web-02: healthy"
        await page.keyboard.press("Enter")
        await seen.until("location.pathname === '/servers/web-02'")
        assert seen.problems == []


async def test_a_pointer_over_the_map_shows_the_server_under_it(browser: Browser) -> None:
    async with looking(browser) as (seen, _):
        await seen.until(f"{ROWS} === 4")
        await seen.page.locator(".map canvas").hover(position={"x": 30, "y": 50})
        tip = await seen.page.locator(".tip").inner_text()
        assert tip.startswith("api-01")
        assert "40.0%" in tip


async def test_it_reconnects_by_itself_after_the_exporter_was_away(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        await seen.until(f"{ROWS} === 4")
        await exporter.stop()
        await seen.until("document.querySelector('#connection').dataset.state === 'lost'")
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await exporter.start()
        await seen.until(LIVE, 40)
        await seen.until("document.querySelector('#counts .critical b').textContent === '1'")


async def test_without_new_ticks_it_says_since_when_the_data_is_old_until_one_comes(browser: Browser) -> None:
    async with looking(browser, interval_s=0.5) as (seen, exporter):
        await seen.until("document.querySelector('#connection').dataset.state === 'stale'", 20)
        assert (await seen.page.locator("#connection").inner_text()).startswith("Stale since")
        assert "what you see is old" in await seen.page.locator("#notice").inner_text()
        exporter.live.publish(exporter.maker.at(4))
        await seen.until(LIVE)


async def test_where_the_stream_is_blocked_it_polls(browser: Browser) -> None:
    async with exporting() as exporter, visit(browser, "about:blank", now_s=NOW_S) as seen:
        await seen.page.add_init_script("WebSocket = class { constructor() { setTimeout(() => this.onclose(), 5) } }")
        await seen.page.goto(exporter.url)
        await seen.until("document.querySelector('#connection').dataset.state === 'polling'", 30)
        await seen.until(f"{ROWS} === 4")


async def test_it_says_which_part_of_the_fleet_is_silent(browser: Browser) -> None:
    register = Book("api-01", "db-01", "web-01", "web-02", "web-99")
    async with looking(browser, register=register) as (seen, exporter):
        exporter.live.publish(exporter.maker.at(4))
        await seen.until("document.querySelector('#notice').innerText.includes('1 of 5 servers say nothing.')")
        await seen.page.locator("#notice button").click()
        await seen.until(f"{ROWS} === 1 && document.querySelector('tbody').innerText.includes('no samples')")


async def test_a_failure_is_injected_and_cleared_in_the_drawer(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        page = seen.page
        await page.locator("#control-open").click()
        await page.locator("#control [name=duration]").fill("soon")
        await page.locator("#control .primary").click()
        assert exporter.failures.failures == {}
        await page.locator("#control [name=duration]").fill("5m")
        await page.locator("#control").get_by_label("web-01").check()
        await page.locator("#control .primary").click()
        await seen.until("document.querySelector('#control section li')")
        (failure,) = exporter.failures.failures.values()
        assert (failure.type, failure.targets, failure.duration_s) == ("cpu_spike", ("web-01",), 300.0)
        assert "ends in 4m" in await page.locator("#control section li").inner_text()
        await page.get_by_role("button", name="Clear: cpu_spike").click()
        await seen.until("!document.querySelector('#control section li')")
        assert exporter.failures.failures == {}
        assert seen.problems == []


async def test_theme_and_language_can_be_changed_and_stay(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        await seen.page.keyboard.press("t")
        await seen.until("document.documentElement.dataset.theme === 'light'")
        await seen.page.locator("#language").click()
        await seen.until("document.documentElement.lang === 'ko' && document.body.innerText.includes('정상')")
        await seen.page.goto(exporter.url + "/servers/web-01")
        await seen.until("document.body.innerText.includes('전체 서버')")
        assert await seen.page.evaluate("document.documentElement.dataset.theme") == "light"
        assert seen.problems == []


INCIDENT = {
    "id": "i-1",
    "title": {"en": "db-01: disk unusually full", "ko": "db-01: 디스크 이상 상승"},
    "servers": ["db-01", "web-01"],
    "started": "2025-05-31T10:00:15Z",
    "ended": None,
    "confidence": 0.93,
    "root": {"server": "db-01", "metric": "disk"},
    "cause": {"en": "A disk fills up.", "ko": "디스크가 가득 찹니다."},
    "evidence": [
        {"server": "web-01", "metric": "response", "value": 8.0, "expected": [0.1, 0.3], "score": 0.97,
         "direction": "up", "since": "2025-05-31T10:00:30Z"},
        {"server": "db-01", "metric": "disk", "value": 95.0, "expected": [50.0, 51.0], "score": 0.99,
         "direction": "up", "since": "2025-05-31T10:00:15Z"},
    ],
    "recommendation": {"en": "Make room.", "ko": "공간을 확보하세요."},
}  # fmt: skip
FULL = {"server": "db-01", "mount": "/data", "seconds_to_full": 7200, "confidence": 0.8}
REPORT = {"incidents": [INCIDENT], "forecasts": [FULL], "series_watched": 28}


@pytest.mark.parametrize(
    ("language", "title", "advice"),
    [("en", "disk unusually full", "Make room."), ("ko", "디스크 이상 상승", "공간을 확보하세요.")],
)
async def test_an_incident_is_told_with_its_chain_evidence_and_advice(
    browser: Browser, language: str, title: str, advice: str
) -> None:
    async with looking(browser, language=language, analysis=lambda: REPORT) as (seen, _):
        await seen.until("document.querySelector('.chain')")
        panel = seen.page.locator(".side .panel").nth(1)
        said = await panel.inner_text()
        assert title in said
        assert advice in said
        assert "93%" in said
        assert "/data" in said
        chain = await panel.locator(".chain li").all_inner_texts()
        assert [step.split()[0] for step in chain] == ["db-01", "web-01"]
        await panel.locator("summary").click()
        assert "0.1 – 0.3" in await panel.locator("table").inner_text()


async def test_the_truth_is_shown_beside_the_incidents_where_anything_is_simulated(browser: Browser) -> None:
    async with looking(browser, analysis=lambda: REPORT) as (seen, exporter):
        page = seen.page
        for failure, server in (("real", "db-01"), ("missed", "api-01")):
            exporter.failures.inject(Injection(failure, "disk_fill", (server,), 300.0, None, 1.0))
        await page.get_by_role("button", name="Truth").click()
        panel = page.locator(".side .panel").nth(1)
        await panel.get_by_text("simulated: disk_fill on db-01").wait_for()
        missed = await panel.locator("li", has_text="not found yet").inner_text()
        assert "api-01" in missed
        assert "truth=1" in page.url
        assert seen.problems == []


async def test_a_servers_own_thresholds_and_its_maintenance_are_heeded(browser: Browser) -> None:
    register = Book("api-01", "db-01", "web-01", "web-02")
    window = Maintenance(T0_MS, T0_MS + 86_400_000, "a move")
    own = {"memory": Limits(30.0, 45.0)}
    register.change("web-01", lambda server: server and replace(server, thresholds=own, maintenance=(window,)))
    async with looking(browser, register=register) as (seen, exporter):
        row = "document.querySelector('tr[data-id=\"web-01\"]')"
        exporter.live.publish(exporter.maker.at(4))
        await seen.until(f"{row}.querySelector('[data-name=memory]').classList.contains('critical')")
        await seen.until(f"{row}.innerText.includes('maintenance until')")
        other = await seen.page.locator('tr[data-id="web-02"] [data-name=memory]').get_attribute("class")
        assert other == "bar "
        assert seen.problems == []


async def test_a_row_out_of_sight_costs_nothing_and_is_right_when_it_is_seen(browser: Browser) -> None:
    servers = [f"web-{i:03}" for i in range(200)]
    async with exporting(*servers) as exporter, visit(browser, exporter.url, now_s=NOW_S) as seen:
        last = "document.querySelector('tbody tr:last-child')"
        await seen.until(f"{ROWS} === 200 && {last}.innerText.includes('40.0%')")
        exporter.live.publish(exporter.maker.at(4, web_199={"cpu_usage_percent": 97}))
        await seen.until("document.querySelector('#counts .critical b').textContent === '1'")
        assert "40.0%" in await seen.page.evaluate(f"{last}.innerText")
        await seen.page.evaluate(f"{last}.scrollIntoView()")
        await seen.until(f"{last}.innerText.includes('97.0%')")


async def test_the_map_looks_as_it_did_once_all_is_as_it_was(browser: Browser) -> None:
    async with looking(browser) as (seen, exporter):
        picture = "document.querySelector('.map canvas').toDataURL()"
        await seen.until(f"{ROWS} === 4")
        before = await seen.page.evaluate(picture)
        exporter.live.publish(exporter.maker.at(4, web_02={"cpu_usage_percent": 97}))
        await seen.until("document.querySelector('#counts .critical b').textContent === '1'")
        assert await seen.page.evaluate(picture) != before
        exporter.live.publish(exporter.maker.at(5))
        await seen.until("document.querySelector('#counts .critical b').textContent === '0'")
        assert await seen.page.evaluate(picture) == before
