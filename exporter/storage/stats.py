"""How much is kept, and how much has happened."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How long samples are kept, and how much memory may be used for what. Sizes are bytes.

    cache_bytes: decoded samples. sealed_bytes: sealed blocks as they are stored, which answer while the store is
    away: hours of a small fleet. frames_bytes: live frames that the store has, kept to answer without asking it.
    pending_bytes: frames that the store has not; beyond it the oldest are lost. batch_bytes: one write, about.
    """

    retention_ms: int = 7 * DAY_MS
    cache_bytes: int = 8 << 20
    sealed_bytes: int = 3 << 20
    frames_bytes: int = 16 << 20
    pending_bytes: int = 64 << 20
    batch_bytes: int = 4 << 20


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
    refused_ticks: int
    partial_answers: int
    quarantined: int
    torn_logs: int
    largest_error_percent: float
