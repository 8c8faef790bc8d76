"""A real Chromium: Debian's, driven by Playwright, which is asked to download none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.servers import binary

FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A browser without a window; it ends with the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=binary("chromium"), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """A page that is looked at. `problems`: console errors and exceptions; `requested`: every address it asked for."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("websocket", lambda socket: self.requested.append(socket.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.text} {message.location.get('url', '')}")

    def foreign(self, *own: str) -> list[str]:
        """What it asked of anybody else."""
        return [url for url in self.requested if not url.startswith((*own, "data:"))]

    async def until(self, expression: str, timeout_s: float = 15.0) -> None:
        """Waits until a JavaScript expression is true; one that fails is not true yet."""
        guarded = f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not await self.page.evaluate(guarded):  # the page's policy forbids what Playwright's own wait does
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not true within {timeout_s:g} s: {expression}; problems: {self.problems}")
            await asyncio.sleep(0.03)


@asynccontextmanager
async def visit(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    theme: str = "dark",
    language: str = "en",
    now_s: float | None = None,
    storage: Mapping[str, str] | None = None,
) -> AsyncIterator[Visit]:
    """A page in a fresh profile. now_s: what its clock says at first. storage: what it remembers from before."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if theme == "light" else "dark",
        locale="ko-KR" if language == "ko" else "en-US",
        reduced_motion="reduce",
    )
    try:
        seen = Visit(await context.new_page())
        if now_s is not None:
            await seen.page.clock.install(time=datetime.fromtimestamp(now_s, UTC))
        for name, value in (storage or {}).items():
            await context.add_init_script(f"localStorage.setItem({name!r}, {value!r})")
        await seen.page.goto(url)
        yield seen
    finally:
        await context.close()
