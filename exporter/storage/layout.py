"""Sizes that the rooms of the storage share, the tiers of retention, and who is to hear of damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000

WINDOW_MS: Final = 7_200_000
"""What one sealed block covers, from each multiple of this."""

LOG_MS: Final = 1_800_000
"""A live log ends after this, or with its window, and is sealed: into its window's block, which grows by it."""

GROUP_FRAMES: Final = 60
"""Frames from one baseline to the next: what one damaged frame can take with it, and what one decode costs."""

PART_SLOTS: Final = 4096
"""Series of one metric in one log: what is decoded to answer for any of them."""

PAGE_SLOTS: Final = 512
"""Series in one sealed block."""

TIER_PAGE_SLOTS: Final = 128
"""Series in one block of aggregates, which covers more instants."""

IMPORTED_PART: Final = 1 << 20
"""Blocks of imported samples have parts from this one on."""

LIVE, IMPORTED = "live", "imported"

Report = Callable[[tuple[object, ...], str, bytes], None]
"""(the name of what is damaged, why, its bytes)"""


@dataclass(frozen=True, slots=True)
class Tier:
    """How finely samples are kept: as they came, or aggregates that stand for `width_ms` each.

    A block covers `span_ms` from a multiple of that on. Spans of aggregates are open on the left, as their widths are:
    the aggregate at t is of the samples in (t - width, t]. A span is a multiple of the next finer tier's.
    """

    name: str
    width_ms: int
    span_ms: int

    def span_of(self, t_ms: int) -> int:
        """The start of the span that an instant is in."""
        inside = t_ms - 1 if self.width_ms else t_ms
        return inside - inside % self.span_ms


RAW: Final = Tier("raw", 0, WINDOW_MS)
TIERS: Final = (
    RAW,
    Tier("1m", MINUTE_MS, DAY_MS),
    Tier("5m", 5 * MINUTE_MS, 4 * DAY_MS),
    Tier("1h", 60 * MINUTE_MS, 32 * DAY_MS),
)
"""The finest first."""

FOLD: Final = Tier("raw", 0, 16 * DAY_MS)
"""Raw samples too, of many windows: those of sparse series."""

FOLDED: Final = -1
"""What the names of its blocks have in place of a width."""

TIER_OF_WIDTH: Final = {FOLDED: FOLD, **{tier.width_ms: tier for tier in TIERS}}


def window_of(t_ms: int) -> int:
    """The start of the window that an instant is in."""
    return t_ms - t_ms % WINDOW_MS
