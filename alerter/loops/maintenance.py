"""Maintenance windows of the exporter's inventory as silences: who works on a server is not paged by it.

The inventory is the truth: a window that is added, moved or taken out there is so here a few seconds later. While
the exporter is away the windows it told of last hold, also after a restart, since silences are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated

import aiohttp
import msgspec

from alerter.state.silences import Silence, SilenceMatcher, Silences

log = logging.getLogger(__name__)

CREATED_BY = "maintenance"
INTERVAL_S = 10.0
_TIMEOUT_S = 5.0
_MAX_BYTES = 64 << 20
_API = "/api/prometheus"


class Window(msgspec.Struct, frozen=True):
    """A server is worked on in [start, end)."""

    server: str
    start: Annotated[datetime, msgspec.Meta(tz=True)]
    end: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: str = ""


class _Answer(msgspec.Struct, frozen=True):
    windows: list[Window]


class Maintenance:
    """Keeps a silence for every window at a URL. `changed` is called after silences have; `now` gives Unix seconds."""

    def __init__(
        self,
        url: str,
        silences: Silences,
        changed: Callable[[], None],
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._url, self._silences, self._changed = url, silences, changed
        self._now, self._sleep = now, sleep
        self._failing = False

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            while True:
                windows = await self._read(session)
                if windows is not None:
                    self.take(windows)
                await self._sleep(INTERVAL_S)

    async def _read(self, session: aiohttp.ClientSession) -> Sequence[Window] | None:
        """The windows there are; None where that is not known."""
        try:
            async with session.get(self._url, allow_redirects=False) as response:
                if response.status == 404:  # a Prometheus that is no exporter of ours has none
                    return ()
                response.raise_for_status()
                found = msgspec.json.decode(await _body(response), type=_Answer).windows
        except (TimeoutError, aiohttp.ClientError, OSError, msgspec.MsgspecError, ValueError) as err:
            if not self._failing:
                log.warning("maintenance windows not read, those known before hold err=%s", type(err).__name__)
            self._failing = True
            return None
        self._failing = False
        return found

    def take(self, windows: Sequence[Window]) -> None:
        """Let there be a silence for each of these windows, and none else of ours."""
        now = self._now()
        wanted = {_key(silence): silence for silence in map(_silence, windows) if silence.ends_at > now}
        ours = [
            each for each in self._silences.all() if each.created_by == CREATED_BY and each.status(now) != "expired"
        ]
        held = {_key(silence) for silence in ours if _holds(silence, wanted.get(_key(silence)), now)}
        for silence in ours:
            if _key(silence) not in held:
                self._silences.expire(silence.id)
        for key, silence in wanted.items():
            if key not in held:
                self._silences.put(silence)
        if len(held) < len(ours) or len(held) < len(wanted):
            self._changed()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Raises ValueError for one that is too large."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
    return bytes(body)


def of_datasource(url: str) -> str:
    """Where the exporter behind a datasource tells of its windows; "" for a datasource that is none."""
    base = url.rstrip("/")
    return f"{base.removesuffix(_API)}/api/maintenance" if base.endswith(_API) else ""


def _silence(window: Window) -> Silence:
    matcher = SilenceMatcher("server", window.server, "=")
    comment = window.reason or "maintenance"
    return Silence("", (matcher,), window.start.timestamp(), window.end.timestamp(), 0.0, CREATED_BY, comment)


def _key(silence: Silence) -> tuple[str, float, str]:
    return silence.matchers[0].value, silence.ends_at, silence.comment


def _holds(silence: Silence, wanted: Silence | None, now: float) -> bool:
    """Whether a silence is the one that is wanted: one that has begun did so when it was first heard of."""
    if wanted is None:
        return False
    return silence.starts_at == wanted.starts_at or (silence.starts_at <= now and wanted.starts_at <= now)
