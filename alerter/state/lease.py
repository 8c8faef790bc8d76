"""Which of several alerters on one Redis leads: a key that names it and that it must renew.

Only the leader evaluates and tells; the others stand by, and one of them leads soon after the key has expired.
A leader that comes back under its own name, after a crash, goes on at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import redis

from alerter.state.state import StoreError

log = logging.getLogger(__name__)
TTL_S = 6.0
_POLL_S = 1.0
_AWAY_S = 10.0
_AWAY_STANDING_BY_S = 300.0
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """The leadership behind a Redis URL. `name` must differ between the alerters."""

    def __init__(self, url: str, name: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._name = name
        self._sleep = sleep
        timeout_s = TTL_S / 3
        self._client: Any = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)

    def take(self) -> bool:
        """Take or renew the lease; False while another one holds it. Raises StoreError."""
        try:
            return bool(self._client.eval(_TAKE, 1, _KEY, self._name, round(TTL_S * 1_000)))
        except redis.RedisError as err:
            raise StoreError(f"redis: {type(err).__name__}") from None

    def held(self) -> bool:
        """Whether anybody holds it. Raises StoreError."""
        try:
            return self._client.get(_KEY) is not None
        except redis.RedisError as err:
            raise StoreError(f"redis: {type(err).__name__}") from None

    def release(self) -> None:
        """Give it up, so that nobody has to wait for it to expire."""
        try:
            self._client.eval(_RELEASE, 1, _KEY, self._name)
        except redis.RedisError as err:
            log.debug("lease not released err=%s", type(err).__name__)
        self._client.close()

    async def taken(self) -> None:
        """Returns once this one leads.

        Where Redis does not answer at the start, it is waited for for a moment, because what was told before is
        in it; then this one leads without: better told twice than not at all. One that stands by waits longer:
        somebody else leads, and does not need Redis for it.
        """
        for _ in range(round(_AWAY_S / _POLL_S)):
            try:
                if not await asyncio.to_thread(self.take):
                    await self._standing_by()
                return
            except StoreError:
                await self._sleep(_POLL_S)
        log.warning("redis does not answer, leading without it name=%s", self._name)

    async def _standing_by(self) -> None:
        """Until the lease has been free for longer than its holder needs to renew it, or Redis away for minutes.

        A Redis that was started again has forgotten the lease, but its holder still lives.
        """
        log.info("another alerter leads, standing by name=%s", self._name)
        free = away = 0
        while True:
            await self._sleep(_POLL_S)
            try:
                free = 0 if await asyncio.to_thread(self.held) else free + 1
                away = 0
                if free * _POLL_S > TTL_S / 3 and await asyncio.to_thread(self.take):
                    return
            except StoreError:
                free, away = 0, away + 1
                if away * _POLL_S >= _AWAY_STANDING_BY_S:
                    log.warning("redis does not answer for long, leading without it name=%s", self._name)
                    return

    async def lost(self) -> None:
        """Renews it, and returns once another one holds it."""
        while True:
            await self._sleep(TTL_S / 3)
            try:
                if not await asyncio.to_thread(self.take):
                    return
            except StoreError:
                continue  # the store says that Redis is away; those who stand by see the same


_KEY = "openmanager:alerter:leader"
