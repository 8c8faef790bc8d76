"""What the alerter says, for those who look at the exporter: its alerts and what belongs to them, kept fresh."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from exporter.web.alert_details import Details, ask
from exporter.web.alerter import Alerter, AlerterAway

log = logging.getLogger(__name__)

_WORTH_A_LINE_S = 30.0  # both processes may have been started just now, the alerter a little later
_OK = 200
_REST = 20  # asking takes at most a twentieth of the time


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
    """The alerter's active alerts and their details, asked for in the background.

    Asks every `watched_s` while `watched()` says that somebody looks, so that a change is known well within a second,
    else every `interval_s`. Nobody waits for it: `active`, `details` and `per_server` are what it said last, nothing
    once it has been away. monotonic: any seconds that only grow; now: Unix seconds.
    """

    def __init__(
        self,
        alerter: Alerter,
        monotonic: Callable[[], float],
        now: Callable[[], float],
        *,
        interval_s: float = 5.0,
        watched_s: float = 0.4,
    ) -> None:
        self._alerter = alerter
        self._monotonic = monotonic
        self._now = now
        self._interval_s = interval_s
        self._watched_s = min(watched_s, interval_s)
        self._away_since = 0.0
        self._told = False
        self._body = b""
        self._asked_details = float("-inf")
        self._again = False
        self._asking = asyncio.Lock()
        self._counts: Mapping[str, int] = {}
        self._listeners: list[Callable[[], None]] = []
        self.watched: Callable[[], bool] = lambda: False
        self.active: tuple[ActiveAlert, ...] = ()
        self.details = Details()
        self.away: str | None = None
        self.up: bool | None = None
        """Whether it answers; None before the first answer."""

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call this whenever the alerts or their details differ from the last time."""
        self._listeners.append(listener)

    def per_server(self) -> Mapping[str, int]:
        """How many alerts fire on each server."""
        return self._counts

    async def context(self, _app: web.Application) -> AsyncIterator[None]:
        """Asks in the background while the application runs."""
        asking = asyncio.create_task(self._ask_for_ever())
        yield
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking

    async def _ask_for_ever(self) -> None:
        while True:
            started = self._monotonic()
            try:
                await self.refresh()
            except Exception:  # this loop must not die
                log.exception("alerts not refreshed")
            await self._pause(max(self._watched_s, _REST * (self._monotonic() - started)))

    async def _pause(self, step_s: float) -> None:
        waited_s = 0.0
        while waited_s < self._interval_s and not (waited_s and self.watched()):
            await asyncio.sleep(step_s)
            waited_s += step_s

    async def refresh(self) -> None:
        """Ask once; an alerter that is away leaves no alerts, and an absence that lasts is logged once."""
        async with self._asking:
            await self._refresh()

    async def _refresh(self) -> None:
        before = self._said()
        try:
            changed = await self._ask()
            self._tell(before)  # at once: the details may take longer
            before = self._said()
            await self._ask_details(changed)
        except AlerterAway as err:
            self._note_absence(str(err))
            self._body, self.active, self.details, self.up = b"", (), Details(), False
        self._tell(before)

    def _said(self) -> tuple[object, ...]:
        return self.active, self.details, self.up

    def _tell(self, before: tuple[object, ...]) -> None:
        if self._said() == before:
            return
        self._counts = Counter(alert.labels.get("server", "") for alert in self.active if alert.state == "firing")
        for listener in self._listeners:
            listener()

    async def _ask(self) -> bool:
        """Whether the alerts differ from the last time. Raises AlerterAway."""
        answer = await self._alerter.get("/api/v1/alerts")
        changed = answer.status != _OK or answer.body != self._body
        if changed:
            self.active, self._body = _parse(answer.status, answer.body), answer.body
        self.away, self._told, self.up = None, False, True
        return changed

    async def _ask_details(self, changed: bool) -> None:
        """The alerter's history is written a moment after its state, so a change is looked into twice."""
        if changed or self._again or self._monotonic() - self._asked_details >= self._interval_s:
            self.details, self._again = await ask(self._alerter, self._now()), changed
            self._asked_details = self._monotonic()

    def _note_absence(self, reason: str) -> None:
        now = self._monotonic()
        if self.away is None:
            self._away_since = now
        self.away = reason
        if not self._told and now - self._away_since >= _WORTH_A_LINE_S:
            log.warning("alerter is away err=%s", reason)
            self._told = True


def _parse(status: int, body: bytes) -> tuple[ActiveAlert, ...]:
    """The alerts of an answer. Raises AlerterAway if it is not one."""
    if status != _OK:
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
