"""Which of several alerters on one Redis leads: a key that names it and that it must renew.

Only the leader evaluates and tells; the others stand by, and one of them leads as soon as the key has expired.
A leader that comes back under its own name, after a crash, goes on at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import redis

from alerter.state import StoreError

log = logging.getLogger(__name__)
TTL_S = 6.0
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

    def release(self) -> None:
        """Give it up, so that nobody has to wait for it to expire."""
        try:
            self._client.eval(_RELEASE, 1, _KEY, self._name)
        except redis.RedisError as err:
            log.debug("lease not released err=%s", type(err).__name__)
        self._client.close()

    async def taken(self) -> None:
        """Returns once this one leads; at once where Redis does not answer: better told twice than not at all."""
        said = False
        while True:
            try:
                if await asyncio.to_thread(self.take):
                    return
            except StoreError:
                return
            if not said:
                log.info("another alerter leads, standing by name=%s", self._name)
            said = True
            await self._sleep(TTL_S / 6)

    async def lost(self) -> None:
        """Renews it, and returns once another one holds it."""
        while True:
            await self._sleep(TTL_S / 3)
            try:
                if not await asyncio.to_thread(self.take):
                    return
            except StoreError:
                continue  # the store says that Redis is away; nobody else can lead either


_KEY = "openmanager:alerter:leader"
