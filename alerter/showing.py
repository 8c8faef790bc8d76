"""What an alerter shows of itself: over HTTP, on its page and in its telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from alerter import telemetry
from alerter.datasource.expansion import canonical
from alerter.datasource.querier import QueryError
from alerter.decisions.inhibition import inhibited
from alerter.parts import Parts
from alerter.state.state import Happened, StoreError
from alerter.web import alertmanager_api, history_page, page, web
from alerter.web.alertmanager_config import written
from exporter.model import Labels

_RECENT = 15


class Showing:
    """`standing_by`: whether another alerter leads."""

    def __init__(self, parts: Parts, *, ready: Callable[[], bool], standing_by: Callable[[], bool]) -> None:
        self._parts = parts
        self._ready = ready
        self._standing_by = standing_by
        self._registry = telemetry.registry(self._reading)

    def site(self) -> web.Site:
        """What its own API and page show and may do."""
        parts = self._parts
        return web.Site(
            loops=lambda: parts.evaluator.loops,
            canonical=canonical,
            history=self._history,
            reload=parts.evaluator.reload,
            ready=self._ready,
            telemetry=lambda: telemetry.text(self._registry),
            page=self._page,
            graph=self._graph,
            past=history_page.render,
            now=parts.world.now,
        )

    def alertmanager(self) -> alertmanager_api.Alertmanager:
        """What it shows and may do as an Alertmanager."""
        parts = self._parts
        return alertmanager_api.Alertmanager(
            silences=parts.silences,
            known=parts.board.known,
            inhibited=lambda: inhibited(parts.board.known(), parts.inhibitions, parts.world.now()),
            receivers={name: routing.policy for name, routing in parts.routings.items()},
            changed=parts.silences_changed,
            now=parts.world.now,
            started_at=parts.world.now(),
            config=written(parts.config, list(parts.routings)),
            standing_by=self._standing_by,
        )

    def _reading(self) -> telemetry.Reading:
        parts = self._parts
        return telemetry.Reading(
            loops=parts.evaluator.loops,
            receivers=parts.receivers(),
            store=parts.store.stats(),
            datasource_up=parts.datasource.down_since is None,
            queries=parts.querier.stats.queries,
            query_failures=parts.querier.stats.failures,
            reloads=parts.evaluator.reloads,
            failed_reloads=parts.evaluator.failed_reloads,
            series=[series.stats() for series in parts.wired.series],
            silences=len(parts.silences.active()),
        )

    async def _history(self, start: float, end: float, limit: int) -> list[Happened]:
        return await asyncio.to_thread(self._parts.store.history, start, end, limit)

    async def _page(self) -> str:
        parts, now = self._parts, self._parts.world.now()
        try:
            recent = await self._history(0.0, now, _RECENT)
        except StoreError:
            recent = []  # the page says that state is not written
        return page.render(
            page.Facts(
                now=now,
                loops=parts.evaluator.loops,
                alerts=[alert for state in parts.board.states().values() for alert in state.active],
                quiet=self._quiet(now),
                receivers=parts.receivers(),
                silences=parts.silences.all(),
                recent=recent,
                datasource=parts.datasource.shown_url,
                datasource_error=parts.datasource.last_error if parts.datasource.down_since else "",
                reload_error=parts.evaluator.last_reload_error,
                state_up=parts.store.stats().up,
                standing_by=self._standing_by(),
            )
        )

    def _quiet(self, now: float) -> Mapping[Labels, str]:
        """Why nobody is told of an alert, by its labels."""
        parts = self._parts
        known = parts.board.known()
        silenced = parts.silences.quiet([each.alert.labels for each in known])
        return dict.fromkeys(inhibited(known, parts.inhibitions, now), "covered") | dict.fromkeys(silenced, "silenced")

    async def _graph(self, expr: str) -> str:
        try:
            return page.graph(expr, await self._parts.querier.instant(expr, self._parts.world.now()), "")
        except QueryError as err:
            return page.graph(expr, (), str(err))
