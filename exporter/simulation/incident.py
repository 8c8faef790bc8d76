"""One failure: which scenario, on whom, when, how strongly. Plain data, as it is kept and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_MS = 90 * 86_400_000


@dataclass(frozen=True, slots=True)
class Incident:
    """One failure. Times are Unix ms; it lasts from `start_ms` up to but not at `end_ms`.

    One on a lease has the longest duration there is, and is to be cleared when the lease ends.
    Invariant: `cleared_ms`, when somebody ended it early, is never after start + duration.
    """

    id: str
    scenario: str
    targets: tuple[str, ...]
    start_ms: int
    duration_ms: int
    intensity: float = 1.0
    cleared_ms: int | None = None

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.duration_ms if self.cleared_ms is None else self.cleared_ms

    @property
    def leased(self) -> bool:
        """Whether it goes on for as long as somebody asks for it again."""
        return self.duration_ms == LONGEST_MS and self.cleared_ms is not None


def to_row(incident: Incident) -> dict[str, Any]:
    """An incident as the plain values that a store keeps."""
    return {
        "id": incident.id,
        "scenario": incident.scenario,
        "targets": list(incident.targets),
        "start_ms": incident.start_ms,
        "duration_ms": incident.duration_ms,
        "intensity": incident.intensity,
        "cleared_ms": incident.cleared_ms,
    }


def from_row(row: Mapping[str, Any]) -> Incident:
    """The incident of a stored row."""
    return Incident(**{**row, "targets": tuple(row["targets"])})
