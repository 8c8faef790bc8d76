"""What the C library does with memory that was freed: given back, where it can be told so.

Left to itself glibc keeps a heap for each thread, with holes as large as the largest query's columns in every one.
Returning each block at once would bound memory better and cost twice the time of a large query.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8


def share() -> None:
    """One heap for all threads, which mostly wait for each other anyway. To be called before there are any."""
    _call("mallopt", _M_ARENA_MAX, 1)


def trim() -> None:
    """Whole pages of the heap that nothing uses go back to the system; takes a millisecond or two."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    try:
        found = getattr(ctypes.CDLL(None), function)
    except (AttributeError, OSError):  # another C library has ways of its own
        return
    found(*arguments)
