"""How much is kept, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import orjson

from exporter.storage.census import RAW_BYTES, Kept, tiers_of

_HEAD = ("tier", "family", "series", "samples", "bytes", "B/sample", "of raw", "oldest", "newest")


def as_table(kept: Sequence[Kept], stored_bytes: int) -> str:
    """Aligned text; a line for each tier's sum, then its families, those with the most bytes first."""
    rows = [_HEAD, *_rows(kept)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    samples = sum(each.samples for each in kept if each.tier == "raw")
    raw = f", {samples:,} raw samples of {RAW_BYTES} B would be {samples * RAW_BYTES:,}" if samples else ""
    return "\n".join([*lines, "", f"The store takes {stored_bytes:,} bytes with all tiers, labels and indexes{raw}."])


def _aligned(row: tuple[str, ...], widths: Sequence[int]) -> Iterator[str]:
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if 2 <= number <= 6 else cell.ljust(width)


def _rows(kept: Sequence[Kept]) -> Iterator[tuple[str, ...]]:
    for whole in tiers_of(kept):
        yield _row(whole)
        yield from map(_row, sorted((each for each in kept if each.tier == whole.tier), key=lambda each: -each.bytes))


def _row(each: Kept) -> tuple[str, ...]:
    return (
        each.tier,
        each.family,
        f"{each.series:,}",
        f"{each.samples:,}",
        f"{each.bytes:,}",
        f"{each.bytes_per_sample:.3f}",
        f"{each.raw_ratio:.1%}",
        _instant(each.oldest_ms),
        _instant(each.newest_ms),
    )


def _instant(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_json(kept: Sequence[Kept], stored_bytes: int) -> str:
    """One object: the store's bytes, tiers, and families by tier. Times are Unix seconds."""
    tree = {
        "storedBytes": stored_bytes,
        "tiers": [each.entry() for each in tiers_of(kept)],
        "families": [each.entry() for each in kept],
    }
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode()
