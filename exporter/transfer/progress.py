"""How far long work is, told on a terminal and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

_EVERY_S = 0.2


class Terminal(Protocol):
    """Where progress is shown if it is one."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Progress:
    """One line that is written over and over. `monotonic` is any seconds that only grow."""

    def __init__(self, out: Terminal, monotonic: Callable[[], float]) -> None:
        self._out = out
        self._monotonic = monotonic
        self._shown = out.isatty()
        self._next_s = 0.0
        self._width = 0

    def tell(self, what: str, done: float, whole: float | None = None) -> None:
        """`done` of `whole`, or of nobody knows how much: then it is shown as a count."""
        now = self._monotonic()
        if not self._shown or now < self._next_s:
            return
        self._next_s = now + _EVERY_S
        self._write(f"{what} {done / whole:.0%}" if whole else f"{what} {done:,.0f}")

    def end(self) -> None:
        """Leave the line empty."""
        if self._width:
            self._write("")

    def _write(self, text: str) -> None:
        self._out.write("\r" + text.ljust(self._width) + ("" if text else "\r"))
        self._out.flush()
        self._width = len(text)
