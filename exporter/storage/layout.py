"""Sizes that the rooms of the storage share, and who is to hear of damage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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

IMPORTED_PART: Final = 1 << 20
"""Blocks of imported samples have parts from this one on."""

LIVE, IMPORTED = "live", "imported"

Report = Callable[[tuple[object, ...], str, bytes], None]
"""(the name of what is damaged, why, its bytes)"""


def window_of(t_ms: int) -> int:
    """The start of the window that an instant is in."""
    return t_ms - t_ms % WINDOW_MS
