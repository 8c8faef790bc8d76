"""The clock of a simulated fleet: it begins in the past, runs faster than the real one, and goes on with it once it
has caught up. So nothing is ever kept with a time that is still to come, and there is no seam to real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Clock:
    """Unix seconds. Until `begin`, and from when it has caught up on, it is the real clock."""

    def __init__(
        self,
        real: Callable[[], float],
        speed: float = 1.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """speed: how many of its seconds pass in a real one, at least 1."""
        self._real, self._speed, self._sleep = real, speed, sleep
        self._began: tuple[float, float] | None = None

    def begin(self, start: float) -> None:
        """Be at this time now, if it is in the past and the clock is a fast one."""
        real = self._real()
        if self._speed > 1.0 and start < real:
            self._began = real, start

    @property
    def behind(self) -> bool:
        """Whether it still has to catch up."""
        real = self._real()  # read once: the real clock has moved by the next look
        return self._at(real) < real

    def now(self) -> float:
        """The time, never after the real one, and never before an earlier one while the real clock is not set back."""
        return self._at(self._real())

    def _at(self, real: float) -> float:
        if self._began is None:
            return real
        since, start = self._began
        now = start + (real - since) * self._speed
        if now >= real:
            self._began = None
        return min(now, real)

    async def sleep(self, seconds: float) -> None:
        """Returns when so much of its time has passed, or earlier once it has caught up meanwhile."""
        await self._sleep(seconds / self._speed if self.behind else seconds)
