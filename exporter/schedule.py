"""The central scheduler: every periodic job of the exporter, on one clock.

A job runs at the multiples of its interval since the Unix epoch. It never overlaps itself; slots that pass
while it still runs (or while the machine sleeps) are skipped and counted, never run in a burst. Where jobs
are due at the same slot the more urgent one finishes first. A job that fails is counted, logged once per
streak and run again at its next slot.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

log = logging.getLogger(__name__)

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Priority(IntEnum):
    """Who goes first where several are due. Smaller is more urgent."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due at every multiple of `interval_s`. `run` is given the slot in Unix seconds."""

    name: str
    interval_s: float
    priority: Priority
    description: str
    run: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Timer:
    """How a job has been doing. Times are Unix seconds, durations seconds.

    `lag_s` is how long after its slot the last run began. `failing_since` is the slot of the first
    failure of the current streak, None while all is well.
    """

    job: Job
    next_slot: float
    running: bool = False
    runs: int = 0
    errors: int = 0
    missed: int = 0
    last_slot: float | None = None
    last_duration_s: float = 0.0
    lag_s: float = 0.0
    last_error: str = ""
    failing_since: float | None = None


def latest_slot(now: float, interval_s: float) -> float:
    """The last multiple of the interval that is not after `now`."""
    return math.floor(now / interval_s) * interval_s


class _Runner:
    """One job and its record."""

    def __init__(self, job: Job, now: Clock, sleep: Sleep) -> None:
        self.job = job
        self._now = now
        self._sleep = sleep
        self.next_slot = latest_slot(now(), job.interval_s) + job.interval_s
        self.running = False
        self._finished = asyncio.Event()
        self.runs = self.errors = self.missed = 0
        self.last_slot: float | None = None
        self.last_duration_s = self.lag_s = 0.0
        self.last_error = ""
        self.failing_since: float | None = None

    async def due(self) -> float:
        """Waits for the next slot and returns it, following a clock that is set back or forward."""
        interval = self.job.interval_s
        while (wait := self.next_slot - self._now()) > 0:
            if wait > interval:  # the clock was set back
                self.next_slot = latest_slot(self._now(), interval) + interval
                continue
            await self._sleep(wait)
        slot = latest_slot(self._now(), interval)
        self.missed += round((slot - self.next_slot) / interval)
        return slot

    async def run(self, slot: float) -> None:
        self.running = True
        started = self._now()
        self.lag_s = started - slot
        try:
            await self.job.run(slot)
        except Exception as err:  # a job's failure is not the scheduler's
            self._failed(slot, err)
        else:
            self._succeeded()
        finally:
            self.runs += 1
            self.last_slot = slot
            self.last_duration_s = max(0.0, self._now() - started)
            self.next_slot = slot + self.job.interval_s
            self.running = False
            self._finished.set()
            self._finished = asyncio.Event()

    async def past(self, slot: float) -> None:
        """Returns once nothing is due at this slot or before."""
        while self.next_slot <= slot:
            await self._finished.wait()

    def _failed(self, slot: float, err: Exception) -> None:
        self.errors += 1
        self.last_error = f"{type(err).__name__}: {err}"
        if self.failing_since is None:
            self.failing_since = slot
            log.exception("job failed, will be tried again job=%s", self.job.name)

    def _succeeded(self) -> None:
        if self.failing_since is not None:
            log.info("job works again job=%s failing_since=%d", self.job.name, self.failing_since)
        self.failing_since = None
        self.last_error = ""

    def timer(self) -> Timer:
        return Timer(
            job=self.job,
            next_slot=self.next_slot,
            running=self.running,
            runs=self.runs,
            errors=self.errors,
            missed=self.missed,
            last_slot=self.last_slot,
            last_duration_s=self.last_duration_s,
            lag_s=self.lag_s,
            last_error=self.last_error,
            failing_since=self.failing_since,
        )


class Scheduler:
    """Runs jobs until it is cancelled."""

    def __init__(self, jobs: Sequence[Job], *, now: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._runners = [_Runner(job, now, sleep) for job in sorted(jobs, key=lambda job: job.priority)]

    async def run(self) -> None:
        """Every job at its slots, for ever."""
        async with asyncio.TaskGroup() as group:
            for runner in self._runners:
                group.create_task(self._keep(runner))

    def timers(self) -> list[Timer]:
        """The record of every job, the most urgent first."""
        return [runner.timer() for runner in self._runners]

    async def _keep(self, runner: _Runner) -> None:
        while True:
            slot = await runner.due()
            await self._let_urgent_finish(runner, slot)
            await runner.run(slot)

    async def _let_urgent_finish(self, runner: _Runner, slot: float) -> None:
        """Waits for more urgent jobs that are due at this slot too, at most one interval of theirs each."""
        for other in self._runners:
            if other.job.priority < runner.job.priority and other.next_slot <= slot:
                try:
                    async with asyncio.timeout(other.job.interval_s):  # wait_for may swallow a cancellation before 3.12
                        await other.past(slot)
                except TimeoutError:
                    log.debug("not waiting any longer job=%s", other.job.name)
