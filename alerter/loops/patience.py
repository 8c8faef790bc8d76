"""How long a receiver is waited for, and how it has behaved so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Patience:
    """How a receiver is treated that does not accept. Seconds.

    `pace_s` is the least time between two messages; `first_s` to `longest_s` the growing wait after errors
    that may pass, `rare_s` the wait after errors that will not pass by themselves. From `storm` groups on that
    are owed something at once, a receiver that must be paced is told by alert name, another one of `together` at once.
    """

    pace_s: float = 0.0
    first_s: float = 1.0
    longest_s: float = 120.0
    rare_s: float = 600.0
    permanent_in_a_row: int = 3
    storm: int = 10
    together: int = 1

    def wait_s(self, failures: int, retry_after_s: float | None, jitter: float) -> float:
        """The wait after the nth failure in a row. `jitter` in [0, 1) spreads it between half and the whole."""
        grown = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return max(grown * (0.5 + jitter / 2), retry_after_s or 0.0)


@dataclass(slots=True)
class DeliveryStats:
    """What a receiver's loop says about itself. Times are Unix seconds."""

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    failing_since: float | None = None
    last_error: str = ""
    last_sent_at: float | None = None
    held_until: float | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class SeriesStats:
    """Counters of what was sent as series to a receiver."""

    receiver: str
    points_sent: int = 0
    points_dropped: int = 0
    failures: int = 0
    waiting: int = 0
