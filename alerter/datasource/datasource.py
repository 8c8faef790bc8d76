"""The datasource as the loops see it: queries with the streaks of failures said once and counted."""

from __future__ import annotations

import logging
from collections.abc import Callable

from alerter.datasource.querier import Query, QueryError
from alerter.decisions.evaluation import Element

log = logging.getLogger(__name__)


class Datasource:
    """Asks through `query` and notes whether somebody answers. Times are Unix seconds."""

    def __init__(self, query: Query, shown_url: str, now: Callable[[], float]) -> None:
        self._query = query
        self._now = now
        self.shown_url = shown_url
        self.down_since: float | None = None
        self.last_error = ""

    async def query(self, expr: str, t: float) -> list[Element]:
        """An instant query. Raises QueryError."""
        try:
            elements = await self._query(expr, t)
        except QueryError as err:
            self.last_error = str(err)
            if err.reachable:
                self._answers()
            else:
                self._silent(err)
            raise
        self._answers()
        return elements

    def _silent(self, err: QueryError) -> None:
        if self.down_since is None:
            self.down_since = self._now()
            log.warning("datasource does not answer, alerts stay as they are url=%s err=%s", self.shown_url, err)

    def _answers(self) -> None:
        if self.down_since is not None:
            log.info("datasource answers again url=%s after_s=%.0f", self.shown_url, self._now() - self.down_since)
        self.down_since = None
