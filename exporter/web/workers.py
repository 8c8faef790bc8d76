"""A few threads for blocking work, so that a heavy query never delays a scrape, a tick or a broadcast.

More threads than cores would not answer sooner (they share the interpreter) but make the event loop wait longer for
its turn; what does not fit waits in line, in the order of arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

T = TypeVar("T")
_LOOK_EVERY_S = 0.25


class ClientGone(Exception):
    """The client went away before its answer was ready."""


class Overloaded(Exception):
    """Too many requests wait already."""


@dataclass(frozen=True, slots=True)
class WorkersStats:
    """`waiting` and `running` are now; `done`, `cancelled` and `refused` count since the start."""

    waiting: int
    running: int
    done: int
    cancelled: int
    refused: int

    def __add__(self, other: WorkersStats) -> WorkersStats:
        """Both together."""
        return WorkersStats(
            self.waiting + other.waiting,
            self.running + other.running,
            self.done + other.done,
            self.cancelled + other.cancelled,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer, and whether another one follows."""

    data: bytes
    more: bool


class _Job:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.wanted = True
        self.started = False
        self._cancel = cancel

    def drop(self) -> None:
        self.wanted = False
        self._cancel()


def _nothing_to_cancel() -> None:
    """For work that is short."""


class Workers:
    """Runs work on `threads` threads; at most `waiting` more stand in line."""

    def __init__(self, threads: int, waiting: int = 1000) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._most = threads + waiting
        self._jobs: set[_Job] = set()
        self._done = self._cancelled = self._refused = 0

    def stats(self) -> WorkersStats:
        """How it is doing."""
        running = sum(job.started for job in self._jobs)
        return WorkersStats(len(self._jobs) - running, running, self._done, self._cancelled, self._refused)

    async def run(
        self, request: web.Request, work: Callable[[], T], cancel: Callable[[], None] = _nothing_to_cancel
    ) -> T:
        """What the work returns or raises.

        When the client goes away `cancel` is called, which is to end the work soon. Raises ClientGone and Overloaded.
        """
        job, task = self._submitted(lambda _: work(), cancel)
        future = asyncio.wrap_future(task)
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=_LOOK_EVERY_S)
                if not future.done() and _gone(request):
                    raise ClientGone
            return future.result()
        finally:
            if not future.done():
                job.drop()
                task.cancel()
                future.cancel()

    async def pieces(
        self, request: web.Request, work: Callable[[], Iterator[bytes]], cancel: Callable[[], None]
    ) -> AsyncGenerator[Piece]:
        """What the work yields, as soon as it is known whether more follows.

        The thread does not wait for whoever takes them: a slow client has no thread to itself. Raises as `run` does,
        and what the work raises.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Piece | None] = asyncio.Queue()

        def feed(job: _Job) -> None:
            for piece in _with_more(work()):
                if not job.wanted:
                    raise ClientGone
                _call_soon(loop, arrived.put_nowait, piece)

        job, task = self._submitted(feed, cancel)
        task.add_done_callback(lambda _: _call_soon(loop, arrived.put_nowait, None))
        try:
            while (piece := await _taken(arrived, request)) is not None:
                yield piece
            task.result()
        finally:
            if not task.done():
                job.drop()
                task.cancel()

    def _submitted(self, work: Callable[[_Job], T], cancel: Callable[[], None]) -> tuple[_Job, Future[T]]:
        if len(self._jobs) >= self._most:
            self._refused += 1
            raise Overloaded
        job = _Job(cancel)
        self._jobs.add(job)
        loop = asyncio.get_running_loop()
        task = self._pool.submit(_perform, job, work)
        task.add_done_callback(lambda _: _call_soon(loop, self._finished, job))
        return job, task

    def _finished(self, job: _Job) -> None:
        self._jobs.discard(job)
        if job.wanted:
            self._done += 1
        else:
            self._cancelled += 1

    def close(self) -> None:
        """Takes no more work; what still runs is told that it is not wanted."""
        for job in self._jobs:
            job.drop()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _perform(job: _Job, work: Callable[[_Job], T]) -> T:
    if not job.wanted:
        raise ClientGone
    job.started = True
    return work(job)


def _with_more(pieces: Iterator[bytes]) -> Iterator[Piece]:
    """Each piece, and whether there is another one."""
    earlier: bytes | None = None
    for piece in pieces:
        if earlier is not None:
            yield Piece(earlier, True)
        earlier = piece
    if earlier is not None:
        yield Piece(earlier, False)


async def _taken(arrived: asyncio.Queue[Piece | None], request: web.Request) -> Piece | None:
    """The next one. Raises ClientGone when nobody waits for it any more."""
    while True:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                return await arrived.get()
        except TimeoutError:
            if _gone(request):
                raise ClientGone from None


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[T], None], argument: T) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended before the work
        loop.call_soon_threadsafe(call, argument)
