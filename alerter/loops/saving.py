"""Between loop 1 and the store: states and steps are kept after each evaluation, and written soon after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from alerter.decisions.evaluation import RuleState, Transition
from alerter.loops.group_loop import GroupLoop
from alerter.rules.rules import AlertRule
from alerter.state.state import Happened, Store

log = logging.getLogger(__name__)
_AT_LEAST_EVERY_S = 5.0

Offer = Callable[[Mapping[str, RuleState], float, float], None]
"""Takes the states of a group's rules after an evaluation, its time and the group's interval."""


class Saving:
    """Keeps what evaluations found; `offers` are told of it too."""

    def __init__(self, store: Store, offers: Sequence[Offer]) -> None:
        self._store = store
        self._offers = offers
        self._dirty = asyncio.Event()

    def saved(self, loop: GroupLoop, t: float, steps: Sequence[Transition]) -> None:
        """After an evaluation: keep the states, note the steps."""
        for rule, run in zip(loop.group.rules, loop.runs, strict=True):
            if isinstance(rule, AlertRule) and not run.kept:
                self._store.put_rule(run.key, run.state)
        states = {run.key: run.state for run in loop.runs}
        for offer in self._offers:
            offer(states, t, loop.group.interval_s)
        self._store.happened(
            [
                Happened(step.t, "transition", str(step.change), step.alert.labels, value=step.alert.value)
                for step in steps
            ]
        )
        self.wake()

    def wake(self) -> None:
        """Something is to be written."""
        self._dirty.set()

    async def run(self) -> None:
        """Write what changed, soon after it did, for ever; what could not be written is tried again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), _AT_LEAST_EVERY_S)
            self._dirty.clear()
            try:
                await asyncio.to_thread(self._store.flush)
            except Exception:
                log.exception("state not written")
