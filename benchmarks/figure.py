"""One measured figure and the goal it is held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement. `goal` is the most it should be, None where there is nothing to reach."""

    what: str
    measured: float
    unit: str
    goal: float | None = None

    @property
    def reached(self) -> bool:
        return self.goal is None or self.measured <= self.goal

    def row(self) -> tuple[str, str, str, str]:
        goal = "" if self.goal is None else f"<= {self.goal:g} {self.unit}"
        verdict = "" if self.goal is None else ("reached" if self.reached else "MISSED")
        return self.what, f"{self.measured:.3g} {self.unit}", goal, verdict


def table(figures: Iterable[Figure]) -> str:
    """The figures as aligned text."""
    rows = [("what", "measured", "goal", ""), *(figure.row() for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile. Raises ValueError if there are no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
