"""What a range query asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """The values of an expression every `step_ms` from `start_ms` on, not past `end_ms`. Unix milliseconds.

    lookback_ms: how old a sample may be to be seen; None: as old as the engine allows.
    Invariants: start_ms <= end_ms, step_ms > 0.
    """

    query: str
    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int | None = None

    def __post_init__(self) -> None:
        if self.step_ms <= 0 or self.end_ms < self.start_ms:
            raise ValueError(f"no steps from {self.start_ms} to {self.end_ms} by {self.step_ms}")
