"""How much is kept, and how much has happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.storage.layout import DAY_MS, TIERS, WINDOW_MS, Tier


def default_retentions_ms() -> dict[Tier, int]:
    """Raw for a week, minutes for a month, five minutes for a quarter, hours for a year."""
    return dict(zip(TIERS, (7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS, 365 * DAY_MS), strict=True))


@dataclass(frozen=True, slots=True)
class Limits:
    """How long samples are kept, and how much memory may be used for what. Sizes are bytes.

    cache_bytes: decoded samples. sealed_bytes: sealed blocks as they are stored, which answer while the store is
    away: hours of a small fleet. frames_bytes: live frames that the store has, kept to answer without asking it.
    pending_bytes: frames that the store has not; beyond it the oldest are lost. batch_bytes: one write, about.
    Invariant: `retentions_ms` has RAW, and of coarser tiers those that are kept at all.
    """

    retentions_ms: Mapping[Tier, int] = field(default_factory=default_retentions_ms)
    cache_bytes: int = 8 << 20
    sealed_bytes: int = 2 << 20
    frames_bytes: int = 16 << 20
    pending_bytes: int = 64 << 20
    batch_bytes: int = 4 << 20

    @staticmethod
    def keeping(by_name_ms: Mapping[str, int]) -> Limits:
        """Limits with these retentions, by the tiers' names."""
        return Limits(retentions_ms={tier: by_name_ms[tier.name] for tier in TIERS if tier.name in by_name_ms})

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Those that are kept, the finest first."""
        return tuple(tier for tier in TIERS if tier in self.retentions_ms)

    def coarser(self, tier: Tier) -> Tier | None:
        """The next tier that is kept, which is made of this one."""
        return next((each for each in self.tiers if each.width_ms > tier.width_ms), None)

    def wanted_ms(self, tier: Tier) -> int:
        """How long after its beginning a tier's block may still be needed: until the coarser one is made, too."""
        coarser = self.coarser(tier)
        return self.retentions_ms[tier] + tier.span_ms + (coarser.span_ms if coarser else 0) + WINDOW_MS


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the start, and sizes and numbers now. Sizes are bytes.

    `series`: in the last tick. `frame_bytes`: of frames encoded, against `raw_bytes` at 16 a sample. `stored_bytes`:
    what the store takes, as of the last sealing or expiry. `pending_bytes`: frames not yet acknowledged.
    `memory_bytes`: all frames in memory. `partial_answers`: reads that went without the store, it being away.
    `quarantined`: what was found damaged. `torn_logs`: logs that the store had lost some of, written again.
    """

    series: int
    samples_appended: int
    samples_imported: int
    samples_lost: int
    frame_bytes: int
    raw_bytes: int
    stored_bytes: int
    pending_bytes: int
    memory_bytes: int
    cache_bytes: int
    cache_hits: int
    cache_misses: int
    logs: int
    blocks: int
    store_errors: int
    outages: int
    store_away: bool
    late_ticks: int
    partial_answers: int
    quarantined: int
    torn_logs: int
    largest_error_percent: float
