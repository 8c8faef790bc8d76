"""Who leads, on a real Redis that goes and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from alerter.state.lease import Lease
from alerter.state.redis_state import RedisKeeper
from alerter.state.state import Kind, StoreError
from tests.servers import Servers, free_port


def a_sleep(slept: list[float], then: Callable[[int], None] = lambda n: None) -> Callable[[float], Awaitable[None]]:
    """Time that passes at once; `then` is called with the number of each sleep."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        then(len(slept))
        await asyncio.sleep(0)

    return sleep


def lease(url: str, name: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Lease:
    return Lease(url, name, sleep)


def test_one_holds_it_and_gives_it_up(servers: Servers) -> None:
    url = servers.redis().url
    first, second = lease(url, "a"), lease(url, "b")
    assert (first.take(), second.take(), first.take()) == (True, False, True)
    first.release()
    assert second.take()
    second.release()


async def test_a_redis_that_comes_up_a_little_later_is_waited_for(servers: Servers) -> None:
    port, slept = free_port(), list[float]()
    url = f"redis://127.0.0.1:{port}/0"

    def comes_up(n: int) -> None:
        if n == 3:
            servers.redis(port=port)

    starting = lease(url, "a", a_sleep(slept, comes_up))
    await starting.taken()
    assert len(slept) == 3
    assert not lease(url, "b").take()


async def test_without_redis_it_leads_after_ten_seconds() -> None:
    slept: list[float] = []
    await lease(f"redis://127.0.0.1:{free_port()}/0", "a", a_sleep(slept)).taken()
    assert 8 <= sum(slept) <= 10


async def test_who_stands_by_does_not_lead_because_redis_is_away_for_a_while(servers: Servers) -> None:
    redis, slept = servers.redis(), list[float]()
    assert lease(redis.url, "a").take()
    standby = lease(redis.url, "b", a_sleep(slept, lambda n: redis.kill() if n == 1 else None))
    await standby.taken()
    assert 295 <= sum(slept) <= 305


async def test_a_redis_that_forgot_the_lease_gives_its_holder_time_to_renew(servers: Servers) -> None:
    redis, slept = servers.redis(), list[float]()
    holder = lease(redis.url, "a")
    assert holder.take()

    def world(n: int) -> None:
        if n == 3:
            redis.kill()
            servers.redis(port=redis.port)
        if n == 5:  # its renewal, within two seconds
            assert holder.take()
        if n == 9:
            holder.release()

    standby = lease(redis.url, "b", a_sleep(slept, world))
    await standby.taken()
    assert len(slept) == 11


async def test_it_is_lost_once_another_one_holds_it_and_not_before(servers: Servers) -> None:
    redis, slept = servers.redis(), list[float]()
    holder, other = lease(redis.url, "a"), lease(redis.url, "b")

    def world(n: int) -> None:
        if n == 5:
            first.release()
            assert other.take()

    first = lease(redis.url, "a", a_sleep(slept, world))
    assert holder.take()
    await first.lost()
    assert len(slept) == 5


async def test_one_that_slept_longer_than_its_lease_asks_before_it_goes_on(servers: Servers) -> None:
    redis, now = servers.redis(), [100.0]
    first = Lease(redis.url, "a", asyncio.sleep, clock=lambda: now[0])
    assert first.take()
    await first.sure()
    now[0] += 60
    await first.sure()  # nobody has taken it meanwhile
    first.release()
    second = lease(redis.url, "b")
    assert second.take()
    late = Lease(redis.url, "a", asyncio.sleep, clock=lambda: now[0])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(late.sure(), 0.2)
    redis.kill()
    await late.sure()  # nobody can say: better told twice than not at all


def test_who_does_not_lead_writes_nothing(servers: Servers) -> None:
    redis = servers.redis()
    assert lease(redis.url, "b").take()
    with pytest.raises(StoreError, match="another alerter leads"):
        RedisKeeper(redis.url, "a").write({(Kind.NOTE, "n"): b"old"}, [(1.0, b"line")])
    leader = RedisKeeper(redis.url, "b")
    assert (leader.read(), leader.history(0, 2, 9)) == ({}, [])
    leader.write({(Kind.NOTE, "n"): b"new"}, [])
    assert leader.read() == {(Kind.NOTE, "n"): b"new"}
