"""A few threads for blocking work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from exporter.web.workers import ClientGone, Overloaded, Piece, Workers


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


async def test_pieces_come_one_by_one_and_each_tells_whether_it_is_the_last() -> None:
    workers, go = Workers(1), threading.Event()

    def work() -> Iterator[bytes]:
        yield from (b"a", b"b")
        go.wait(5)
        yield b"c"

    taken = workers.pieces(request(Wire()), work, go.set)
    assert await anext(taken) == Piece(b"a", True)
    go.set()
    assert [piece async for piece in taken] == [Piece(b"b", True), Piece(b"c", False)]
    workers.close()


async def test_work_that_fails_halfway_fails_whoever_takes_its_pieces() -> None:
    workers = Workers(1)

    def work() -> Iterator[bytes]:
        yield from (b"a", b"b")
        raise ZeroDivisionError

    taken = workers.pieces(request(Wire()), work, lambda: None)
    assert await anext(taken) == Piece(b"a", True)
    with pytest.raises(ZeroDivisionError):
        await anext(taken)
    workers.close()


async def test_no_piece_is_made_for_nobody() -> None:
    workers, go, made = Workers(1), threading.Event(), list[int]()

    def work() -> Iterator[bytes]:
        for i in range(10):
            made.append(i)
            yield b"x"
            if i == 1:
                go.wait(5)

    wire = Wire()
    taken = workers.pieces(request(wire), work, go.set)
    await anext(taken)
    wire.lost = True
    with pytest.raises(ClientGone):
        await anext(taken)
    assert go.is_set()
    assert await workers.run(request(Wire()), lambda: len(made)) < 10
    workers.close()
