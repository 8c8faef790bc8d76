"""What the alerter says, for those who look at the exporter: its alerts, kept fresh, and its API passed through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

log = logging.getLogger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_MOST_BYTES = 16 << 20
_WORTH_A_LINE_S = 30.0  # both processes may have been started just now, the alerter a little later


class AlerterAway(Exception):
    """The alerter gave no usable answer. The message holds no credentials."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert as the Prometheus API shows it. `active_at` is RFC 3339."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    active_at: str
    value: str

    def as_json(self) -> dict[str, object]:
        """The shape of the Prometheus API."""
        return {
            "labels": self.labels,
            "annotations": self.annotations,
            "state": self.state,
            "activeAt": self.active_at,
            "value": self.value,
        }


class Alerts:
    """The alerter's active alerts, asked for every `interval_s` in the background.

    Nobody waits for it: `active` and `per_server` are what it said last, nothing once it has been away.
    monotonic: any seconds that only grow.
    """

    def __init__(self, url: str, monotonic: Callable[[], float], interval_s: float = 5.0) -> None:
        self._url = URL(url)
        self._shown = str(self._url.with_user(None))
        self._monotonic = monotonic
        self._interval_s = interval_s
        self._away_since = 0.0
        self._told = False
        self._session: aiohttp.ClientSession | None = None
        self._listeners: list[Callable[[], None]] = []
        self.active: tuple[ActiveAlert, ...] = ()
        self.away: str | None = None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call this whenever the alerts differ from the last time."""
        self._listeners.append(listener)

    def per_server(self) -> Mapping[str, int]:
        """How many alerts fire on each server."""
        return Counter(alert.labels.get("server", "") for alert in self.active if alert.state == "firing")

    async def context(self, _app: web.Application) -> AsyncIterator[None]:
        """Asks in the background while the application runs."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        asking = asyncio.create_task(self._ask_for_ever())
        yield
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await self._session.close()

    async def _ask_for_ever(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:  # this loop must not die
                log.exception("alerts not refreshed")
            await asyncio.sleep(self._interval_s)

    async def refresh(self) -> None:
        """Ask once; an alerter that is away leaves no alerts, and an absence that lasts is logged once."""
        try:
            status, body = await self.fetch("/api/v1/alerts", ())
            found = _parse(status, body)
        except AlerterAway as err:
            self._note_absence(str(err))
            found = ()
        else:
            self.away, self._told = None, False
        if found != self.active:
            self.active = found
            for listener in self._listeners:
                listener()

    def _note_absence(self, reason: str) -> None:
        now = self._monotonic()
        if self.away is None:
            self._away_since = now
        self.away = reason
        if not self._told and now - self._away_since >= _WORTH_A_LINE_S:
            log.warning("alerter is away err=%s", reason)
            self._told = True

    async def fetch(self, path: str, query: tuple[tuple[str, str], ...]) -> tuple[int, bytes]:
        """Status and body of a GET at the alerter. Raises AlerterAway."""
        if self._session is None:
            raise AlerterAway(f"alerter at {self._shown} is not asked yet")
        url = self._url.with_path(self._url.path.rstrip("/") + path)
        try:
            async with self._session.get(url, params=query, allow_redirects=False) as response:
                return response.status, await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            reason = type(err).__name__ if isinstance(err, TimeoutError) else f"{type(err).__name__}: {err}"
            raise AlerterAway(f"alerter at {self._shown} does not answer: {reason}") from err

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > _MOST_BYTES:
                raise AlerterAway(f"alerter at {self._shown} sends more than {_MOST_BYTES} bytes")
        return bytes(body)


def _parse(status: int, body: bytes) -> tuple[ActiveAlert, ...]:
    """The alerts of an answer. Raises AlerterAway if it is not one."""
    if status != 200:
        raise AlerterAway(f"alerter answers with status {status}")
    try:
        return tuple(
            ActiveAlert(
                labels={str(name): str(value) for name, value in alert["labels"].items()},
                annotations={str(name): str(value) for name, value in alert["annotations"].items()},
                state=str(alert["state"]),
                active_at=str(alert["activeAt"]),
                value=str(alert["value"]),
            )
            for alert in orjson.loads(body)["data"]["alerts"]
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as err:
        raise AlerterAway(f"alerter answers with something else than alerts: {type(err).__name__}") from err
