"""The whole job on one page: a server is broken in the drawer, the alert comes, is silenced, and all is well again."""

from __future__ import annotations

from tests.process.house import House, scratch
from tests.servers import Servers
from tests.web.browser import chromium, visit

RULES = """
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: CriticalCPUUsage
        expr: openmanager_cpu_usage_percent > 95
        for: 1s
        labels: {severity: critical}
        annotations: {summary: "Critical CPU usage on {{ $labels.server }}"}
"""
ROW = "document.querySelector('tr[data-id=\"web-01\"]').innerText"
FIRING = "document.querySelector('.tab').innerText"


async def test_a_failure_that_is_injected_on_the_page_is_seen_alerted_silenced_and_cleared_there(
    servers: Servers,
) -> None:
    house = House(servers, scratch(servers.folder, "samples.db"))
    house.exporter()
    house.alerter(RULES)
    async with chromium() as browser, visit(browser, house.exporter_url, height=1200) as seen:
        page = seen.page
        await seen.until("document.querySelectorAll('.servers tbody tr').length === 20", 30)
        await page.locator("#control-open").click()
        await page.locator("#control [name=type]").select_option("cpu-saturation")
        await page.locator("#control").get_by_label("web-01").check()
        await page.locator("#control .primary").click()
        await seen.until("document.querySelector('#control section li')")
        await page.keyboard.press("Escape")
        await seen.until(f"{ROW}.includes('critical') && {ROW}.includes('cpu')", 60)
        await seen.until(f"{FIRING} === 'firing 1'", 30)
        alert = page.locator(".alert")
        assert "> 95" in await alert.inner_text()
        await seen.until("document.querySelector('.toast').innerText.includes('Critical CPU usage on web-01')")

        await alert.locator("summary").click()
        await alert.get_by_role("button", name="1h").click()
        await alert.get_by_text("silenced until").wait_for()

        await page.locator("#control-open").click()
        await page.get_by_role("button", name="Clear: cpu-saturation").click()
        await page.keyboard.press("Escape")
        await seen.until(f"!{ROW}.includes('critical')", 90)
        await seen.until(f"{FIRING} === 'firing 0'", 30)
        await page.get_by_role("button", name="resolved").click()
        await seen.until("document.querySelector('.alert').innerText.includes('CriticalCPUUsage')")
        assert seen.problems == []
        assert seen.foreign(house.exporter_url, house.exporter_url.replace("http", "ws")) == []
