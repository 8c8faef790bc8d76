"""When a group is evaluated: slots of its interval, shifted by an offset that is the group's own.

Source: prometheus/rules/group.go, EvalTimestamp and run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from alerter.rules.rules import Group


@dataclass(frozen=True, slots=True)
class Slots:
    """The instants offset + n · interval, in Unix seconds; kept in whole milliseconds, so that none drifts."""

    interval_ms: int
    offset_ms: int

    def at_or_before(self, now: float) -> float:
        """The last slot that is not after `now`."""
        now_ms = int(now * 1_000)
        return ((now_ms - self.offset_ms) // self.interval_ms * self.interval_ms + self.offset_ms) / 1_000

    def after(self, slot: float, now: float) -> tuple[float, int]:
        """The slot to run after `slot`, and how many were missed: those before the latest that has begun."""
        following = slot + self.interval_ms / 1_000
        latest = self.at_or_before(now)
        if latest + self.interval_ms / 1_000 < slot - 0.001:  # the clock was put back: go by what it says now
            return round(latest + self.interval_ms / 1_000, 3), 0
        if latest <= following:
            return round(following, 3), 0
        return latest, round((latest - following) * 1_000 / self.interval_ms)


def slots(group: Group) -> Slots:
    """The slots of a group; the offset spreads groups over the interval and stays the same for ever."""
    interval_ms = max(1, round(group.interval_s * 1_000))
    digest = hashlib.blake2b(f"{group.name}\xff{group.file}".encode("utf-8", "surrogatepass"), digest_size=8)
    return Slots(interval_ms, int.from_bytes(digest.digest()) % interval_ms)
