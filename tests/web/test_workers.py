"""A few threads for blocking work."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from exporter.web.workers import ClientGone, Overloaded, Workers


class Wire(asyncio.Transport):
    """A connection that can be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = False

    def is_closing(self) -> bool:
        return self.lost


def request(wire: Wire) -> web.Request:
    made: Any = make_mocked_request("GET", "/", transport=wire)
    found: web.Request = made
    return found


async def test_work_gives_its_result_or_its_error() -> None:
    workers = Workers(1)
    assert await workers.run(request(Wire()), lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        await workers.run(request(Wire()), lambda: 1 // 0)
    await asyncio.sleep(0)
    assert workers.stats().done == 2
    workers.close()


async def test_no_more_than_so_many_run_and_wait() -> None:
    workers, go = Workers(1, waiting=1), threading.Event()
    tasks = [asyncio.create_task(workers.run(request(Wire()), go.wait)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert (workers.stats().running, workers.stats().waiting) == (1, 1)
    with pytest.raises(Overloaded):
        await workers.run(request(Wire()), go.wait)
    go.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert workers.stats().refused == 1
    workers.close()


async def test_work_whose_client_has_gone_is_told_or_never_begun() -> None:
    workers, told, began = Workers(1), threading.Event(), threading.Event()
    wires = [Wire(), Wire()]
    running = asyncio.create_task(workers.run(request(wires[0]), lambda: told.wait(5), told.set))
    waiting = asyncio.create_task(workers.run(request(wires[1]), began.set))
    for wire in wires:
        wire.lost = True
    for task in (running, waiting):
        with pytest.raises(ClientGone):
            await task
    assert told.is_set()
    workers.close()
    assert not began.is_set()
