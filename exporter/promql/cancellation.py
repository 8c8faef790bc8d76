"""How a query that runs in a worker thread is stopped from outside."""

from __future__ import annotations

from collections.abc import Callable

from exporter.promql.errors import QueryCanceled, QueryTimeout


class Cancellation:
    """Asked between operators whether to go on.

    deadline: the reading of `now` after which the query has timed out; None for never.
    `cancel` may be called from any thread.
    """

    def __init__(self, deadline: float | None = None, now: Callable[[], float] | None = None) -> None:
        if deadline is not None and now is None:
            raise ValueError("a deadline needs a clock")
        self._deadline = deadline
        self._now = now
        self._canceled = False

    def cancel(self) -> None:
        """Ends the query at its next operator."""
        self._canceled = True

    def check(self) -> None:
        """Raises QueryCanceled or QueryTimeout when the query is to end."""
        if self._canceled:
            raise QueryCanceled
        if self._deadline is not None and self._now is not None and self._now() > self._deadline:
            raise QueryTimeout
