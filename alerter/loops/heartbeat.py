"""A URL that is called while all is well: whoever waits for the call notices when the alerter itself is silent."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import aiohttp

log = logging.getLogger(__name__)
INTERVAL_S = 60.0
_TIMEOUT_S = 10.0


class Heartbeat:
    """Calls the URL, a secret, every minute in which `trouble` has nothing to say."""

    def __init__(self, url: str, trouble: Callable[[], str], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._url = url
        self._trouble = trouble
        self._sleep = sleep
        self._failing = False

    async def run(self) -> None:
        """Call every minute, for ever."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            while True:
                if trouble := self._trouble():
                    log.warning("heartbeat withheld why=%s", trouble)
                else:
                    await self._call(session)
                await self._sleep(INTERVAL_S)

    async def _call(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(self._url, allow_redirects=False) as response:
                failed = f"HTTP {response.status}" if response.status >= 300 else ""
        except (TimeoutError, aiohttp.ClientError, OSError) as err:
            failed = type(err).__name__  # the message may hold the URL
        if failed and not self._failing:
            log.warning("heartbeat not accepted err=%s", failed)
        self._failing = bool(failed)
