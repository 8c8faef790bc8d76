"""All groups together: their loops, the state they begin with, and reloading without losing any of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from alerter.decisions.evaluation import ended
from alerter.loops.group_loop import GroupLoop, RuleRun, Surroundings
from alerter.rules.rules import AlertRule, Group, RuleFileError
from alerter.state.state import Store

log = logging.getLogger(__name__)

Read = Callable[[], tuple[Group, ...]]
"""Reads the rule files. Raises RuleFileError."""


class Evaluator:
    """Runs a GroupLoop for each group. `read` gives the groups, at the start and at every reload.

    States under keys that begin with `not_mine` belong to somebody else.
    """

    def __init__(self, read: Read, store: Store, world: Surroundings, not_mine: str) -> None:
        self._read = read
        self._store = store
        self._world = world
        self._not_mine = not_mine
        self._started = False
        self._reloaded: tuple[Group, ...] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.loops: list[GroupLoop] = []
        self.reloads = 0
        self.failed_reloads = 0
        self.last_reload_error = ""

    def start(self, groups: Sequence[Group]) -> None:
        """Begin with these groups, or those of a reload since they were read, and the state that was kept."""
        self._started = True
        kept = {
            key: RuleRun(key, state=state, kept=True)
            for key, state in self._store.rules().items()
            if not key.startswith(self._not_mine)
        }
        self._begin(groups if self._reloaded is None else self._reloaded, kept)

    async def reload(self) -> None:
        """Read the rule files again. Raises RuleFileError; then the old rules run on."""
        try:
            groups = await asyncio.to_thread(self._read)
        except RuleFileError as err:
            self.failed_reloads += 1
            self.last_reload_error = str(err)
            log.error("rules not reloaded, the old ones run on err=%s", err)
            raise
        if not self._started:  # another alerter leads
            self._reloaded = groups
            return
        unchanged = [loop for loop in self.loops if loop.group in groups]
        await self._end([loop for loop in self.loops if loop not in unchanged])
        runs = {run.key: run for loop in self.loops for run in loop.runs}
        self.loops = unchanged
        self._begin([group for group in groups if all(group != loop.group for loop in unchanged)], runs)
        order = {group.key: index for index, group in enumerate(groups)}
        self.loops.sort(key=lambda loop: order[loop.group.key])
        self.reloads += 1
        self.last_reload_error = ""
        log.info("rules reloaded groups=%d rules=%d", len(groups), sum(len(group.rules) for group in groups))

    def _begin(self, groups: Sequence[Group], runs: dict[str, RuleRun]) -> None:
        """Start these groups with the states of the rules they share with `runs`; the others are no more."""
        for group in groups:
            loop = GroupLoop(group, self._world)
            for key in [run.key for run in loop.runs]:
                if key in runs:
                    loop.adopt(runs[key])
            self.loops.append(loop)
            self._post(loop)
            self._tasks[group.key] = asyncio.create_task(loop.run(), name=f"group {group.key}")
        live = {run.key for loop in self.loops for run in loop.runs}
        self._forget([run for key, run in runs.items() if key not in live])

    def _post(self, loop: GroupLoop) -> None:
        """What is known before the first evaluation: so that nobody is told that it ended."""
        states = {
            run.key: run.state
            for rule, run in zip(loop.group.rules, loop.runs, strict=True)
            if isinstance(rule, AlertRule)
        }
        self._world.board.post(loop.group.key, states)

    def _forget(self, runs: Sequence[RuleRun]) -> None:
        """Rules that are no more: what they fired is over."""
        now = self._world.now()
        for run in runs:
            alerts = ended(run.state, now).values()
            self._world.board.post_ended(run.group, alerts, now)
            self._store.put_rule(run.key, None)
        self._world.board.withdraw([run.key for run in runs])

    async def _end(self, loops: Sequence[GroupLoop]) -> None:
        """Stop these loops; one that is evaluating is cut short, its rules' states are whole all the same."""
        tasks = [self._tasks.pop(loop.group.key) for loop in loops]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def stop(self) -> None:
        """End every loop."""
        await self._end(self.loops)
