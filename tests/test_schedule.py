"""The scheduler, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable

import pytest

from exporter.schedule import Job, Priority, Scheduler, Timer, latest_slot


class TurnedClock:
    """A clock that stands still until it is turned; sleepers wake in order."""

    def __init__(self, now: float) -> None:
        self.time = now
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.time + seconds, self._count, woken))
        await woken.wait()

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def turn(self, seconds: float) -> None:
        """Forward, waking each sleeper at its moment."""
        await self.settle()
        end = self.time + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self.time = max(self.time, at)
            woken.set()
            await self.settle()
        self.time = end

    async def jump(self, seconds: float) -> None:
        """The wall clock is set; sleepers go on sleeping for what they had left."""
        self.time += seconds
        self._sleepers = [(at + seconds, count, woken) for at, count, woken in self._sleepers]
        await self.settle()


class Record:
    """Jobs that write down when they ran."""

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.ran: list[tuple[str, float]] = []

    def job(
        self,
        name: str,
        interval_s: float,
        priority: Priority = Priority.MEDIUM,
        work: Callable[[float], Awaitable[None]] | None = None,
    ) -> Job:
        async def run(slot: float) -> None:
            self.ran.append((name, slot))
            if work is not None:
                await work(slot)

        return Job(name, interval_s, priority, name, run)


async def run_for(scheduler: Scheduler, clock: TurnedClock, *turns: float) -> None:
    running = asyncio.create_task(scheduler.run())
    for seconds in turns:
        await clock.turn(seconds)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def timer(scheduler: Scheduler, name: str) -> Timer:
    return next(timer for timer in scheduler.timers() if timer.job.name == name)


@pytest.mark.parametrize(("now", "interval", "slot"), [(0, 15, 0), (14.9, 15, 0), (15, 15, 15), (1000, 300, 900)])
def test_a_slot_is_a_multiple_of_the_interval(now: float, interval: float, slot: float) -> None:
    assert latest_slot(now, interval) == slot


async def test_a_job_runs_at_every_multiple_of_its_interval_and_nowhere_else() -> None:
    clock = TurnedClock(1_000.0)
    record = Record(clock)
    await run_for(Scheduler([record.job("tick", 15)], now=clock.now, sleep=clock.sleep), clock, 60)
    assert record.ran == [("tick", 1005.0), ("tick", 1020.0), ("tick", 1035.0), ("tick", 1050.0)]


async def test_the_more_urgent_job_finishes_first_where_both_are_due() -> None:
    clock = TurnedClock(59.0)
    record = Record(clock)
    finished: list[str] = []

    async def slow(_slot: float) -> None:
        await clock.sleep(2)
        finished.append("high")

    async def quick(_slot: float) -> None:
        finished.append("low")

    jobs = [record.job("clean", 60, Priority.LOW, quick), record.job("tick", 15, Priority.HIGH, slow)]
    await run_for(Scheduler(jobs, now=clock.now, sleep=clock.sleep), clock, 1, 2)
    assert finished == ["high", "low"]


async def test_an_urgent_job_does_not_wait_for_a_lesser_one_that_still_runs() -> None:
    clock = TurnedClock(29.0)
    record = Record(clock)

    async def slow(_slot: float) -> None:
        await clock.sleep(40)

    jobs = [record.job("analysis", 30, Priority.MEDIUM, slow), record.job("tick", 15, Priority.HIGH)]
    await run_for(Scheduler(jobs, now=clock.now, sleep=clock.sleep), clock, 32)
    assert [entry for entry in record.ran if entry[0] == "tick"] == [("tick", 30), ("tick", 45), ("tick", 60)]


async def test_slots_that_pass_while_a_job_runs_are_counted_not_run_in_a_burst() -> None:
    clock = TurnedClock(14.0)
    record = Record(clock)

    async def slow(slot: float) -> None:
        await clock.sleep(50 if slot == 15 else 0)

    scheduler = Scheduler([record.job("tick", 15, work=slow)], now=clock.now, sleep=clock.sleep)
    await run_for(scheduler, clock, 80)
    assert [slot for _, slot in record.ran] == [15, 60, 75, 90]
    assert timer(scheduler, "tick").missed == 2


async def test_a_failing_job_is_counted_logged_once_per_streak_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = TurnedClock(14.0)
    record = Record(clock)

    async def fail_until_60(slot: float) -> None:
        if slot < 60:
            raise ValueError("no disk")

    scheduler = Scheduler([record.job("tick", 15, work=fail_until_60)], now=clock.now, sleep=clock.sleep)
    with caplog.at_level(logging.INFO):
        running = asyncio.create_task(scheduler.run())
        await clock.turn(40)
        broken = timer(scheduler, "tick")
        await clock.turn(30)
        running.cancel()
    assert (broken.errors, broken.failing_since, broken.last_error) == (3, 15, "ValueError: no disk")
    assert [message for message in caplog.messages if "job failed" in message] == [
        "job failed, will be tried again job=tick"
    ]
    well = timer(scheduler, "tick")
    assert (well.runs, well.errors, well.failing_since, well.last_error) == (5, 3, None, "")


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_set_by_a_day_is_followed_within_an_interval(jump: float) -> None:
    clock = TurnedClock(1_000_000.0)
    record = Record(clock)
    scheduler = Scheduler([record.job("tick", 15)], now=clock.now, sleep=clock.sleep)
    running = asyncio.create_task(scheduler.run())
    await clock.turn(15)
    await clock.jump(jump)
    before = len(record.ran)
    await clock.turn(30)
    running.cancel()
    slots = [slot for _, slot in record.ran[before:]]
    assert 1 <= len(slots) <= 3
    assert all(abs(slot - clock.now()) <= 30 for slot in slots)


async def test_the_record_shows_lag_and_duration() -> None:
    clock = TurnedClock(14.0)
    record = Record(clock)

    async def three_seconds(_slot: float) -> None:
        await clock.sleep(3)

    scheduler = Scheduler([record.job("tick", 15, work=three_seconds)], now=clock.now, sleep=clock.sleep)
    await run_for(scheduler, clock, 10)
    kept = timer(scheduler, "tick")
    assert (kept.runs, kept.last_slot, kept.last_duration_s, kept.lag_s, kept.next_slot) == (1, 15, 3, 0, 30)


@pytest.mark.parametrize("later", range(8))
def test_a_scheduler_that_is_cancelled_just_when_an_urgent_job_has_finished_ends(later: int) -> None:
    async def scenario() -> None:
        clock, finish = TurnedClock(1000.0), asyncio.Event()
        record = Record(clock)

        async def work(_slot: float) -> None:
            await finish.wait()

        jobs = [record.job("tick", 15, Priority.HIGH, work), record.job("check", 15, Priority.MEDIUM)]
        running = asyncio.create_task(Scheduler(jobs, now=clock.now, sleep=clock.sleep).run())
        await clock.turn(15)
        finish.set()
        for _ in range(later):
            await asyncio.sleep(0)
        running.cancel()
        _, going_on = await asyncio.wait([running], timeout=1.0)
        running.cancel()
        assert not going_on

    asyncio.run(scenario())
