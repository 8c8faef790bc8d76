"""How far a long work is, on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from exporter.duration import format_duration

_PROGRESS_S = 0.5


class Progress:
    """A line on a terminal that says how far it is; nothing where nobody watches."""

    def __init__(self, out: TextIO, start: float, end: float) -> None:
        self._out = out
        self._start, self._end = start, end
        self._watched = out.isatty()
        self._last = 0.0

    def at(self, t: float) -> None:
        """It has come to `t`."""
        if not self._watched or time.monotonic() - self._last < _PROGRESS_S:
            return
        self._last = time.monotonic()
        done, whole = t - self._start, max(self._end - self._start, 1.0)
        of = f"{format_duration(round(done) * 1_000)} of {format_duration(round(whole) * 1_000)}"
        print(f"\r\x1b[K{done / whole:4.0%}  {of}", end="", file=self._out, flush=True)

    def end(self) -> None:
        """Done: the line goes."""
        if self._watched:
            print("\r\x1b[K", end="", file=self._out, flush=True)
