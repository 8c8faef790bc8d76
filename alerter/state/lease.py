"""Which of several alerters on one Redis leads: a key that names it and that it must renew.

Only the leader evaluates and tells; the others stand by, and one of them leads soon after the key has expired.
A leader that comes back under its own name, after a crash, goes on at once. One that was paused for longer than its
lease asks before it tells anybody anything, and the keeper of the state refuses what it writes once another leads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis

from alerter.state.state import StoreError

log = logging.getLogger(__name__)
LEADER_KEY = "openmanager:alerter:leader"
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
    """The leadership behind a Redis URL. `name` must differ between the alerters; `clock` gives seconds."""

    def __init__(
        self,
        url: str,
        name: str,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._sleep = sleep
        self._clock = clock
        self._sure_until = 0.0
        timeout_s = TTL_S / 3
        self._client: Any = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)

    def take(self) -> bool:
        """Take or renew the lease; False while another one holds it. Raises StoreError."""
        asked_at = self._clock()
        try:
            taken = bool(self._client.eval(_TAKE, 1, LEADER_KEY, self.name, round(TTL_S * 1_000)))
        except redis.RedisError as err:
            raise StoreError(f"redis: {type(err).__name__}") from None
        self._sure_until = asked_at + TTL_S if taken else 0.0
        return taken

    def held(self) -> bool:
        """Whether anybody holds it. Raises StoreError."""
        try:
            return self._client.get(LEADER_KEY) is not None
        except redis.RedisError as err:
            raise StoreError(f"redis: {type(err).__name__}") from None

    def release(self) -> None:
        """Give it up, so that nobody has to wait for it to expire."""
        try:
            self._client.eval(_RELEASE, 1, LEADER_KEY, self.name)
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
        log.warning("redis does not answer, leading without it name=%s", self.name)

    async def _standing_by(self) -> None:
        """Until the lease has been free for longer than its holder needs to renew it, or Redis away for minutes.

        A Redis that was started again has forgotten the lease, but its holder still lives.
        """
        log.info("another alerter leads, standing by name=%s", self.name)
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
                    log.warning("redis does not answer for long, leading without it name=%s", self.name)
                    return

    async def sure(self) -> None:
        """Returns once this one leads for certain, never once another one does.

        It may have slept for longer than it held the lease. Where Redis cannot say, it goes on: better told twice
        than not at all.
        """
        while self._clock() >= self._sure_until:
            try:
                if not await asyncio.to_thread(self.take):
                    await asyncio.Event().wait()
            except StoreError:
                self._sure_until = self._clock() + TTL_S / 3  # not with every message

    async def lost(self) -> None:
        """Renews it, and returns once another one holds it."""
        while True:
            await self._sleep(TTL_S / 3)
            try:
                if not await asyncio.to_thread(self.take):
                    return
            except StoreError:
                continue  # the store says that Redis is away; those who stand by see the same
