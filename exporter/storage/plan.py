"""Which tier answers for which time: the finest that goes back to the start, and finer ones after its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporter.storage.layout import RAW, TIERS, Tier

if TYPE_CHECKING:
    from exporter.model import Times


_EVER = 2**62


@dataclass(frozen=True, slots=True)
class Reach:
    """From where to where a tier has one metric's samples, about: its oldest span's start, its newest one's end."""

    oldest_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Times, inclusive, for which a tier answers."""

    tier: Tier
    start_ms: int
    end_ms: int


def stretches(
    reaches: Mapping[Tier, Reach], edges_ms: Mapping[Tier, int], start_ms: int, end_ms: int, before: int
) -> list[Stretch]:
    """The tiers that answer for [start_ms, end_ms], in the order of time; they do not overlap.

    edges_ms: before which a tier's spans have been let go of. before: how many aggregates from before the start, too.
    """
    first = _first(reaches, edges_ms, start_ms)
    found: list[Stretch] = []
    begin = start_ms
    for tier in reversed(TIERS[: TIERS.index(first) + 1]):
        end = end_ms if tier is RAW else min(end_ms, reaches[tier].end_ms if tier in reaches else begin - 1)
        if begin <= end:
            found.append(Stretch(tier, begin - (before * tier.width_ms if tier is first else 0), end))
            begin = end + 1
    return found


def _first(reaches: Mapping[Tier, Reach], edges_ms: Mapping[Tier, int], start_ms: int) -> Tier:
    having = [tier for tier in TIERS if tier in reaches]
    for position, tier in enumerate(having):
        edge_ms = edges_ms.get(tier, -_EVER)
        # what is there of before the edge is what came late, or waits for the coarser tier: not all there was
        oldest_ms = max(reaches[tier].oldest_ms, edge_ms)
        coarser = having[position + 1 :]
        if oldest_ms <= start_ms or not any(_is_older(reaches[each], each, oldest_ms, edge_ms) for each in coarser):
            return tier
    return RAW


def _is_older(coarse: Reach, tier: Tier, oldest_ms: int, edge_ms: int) -> bool:
    """Whether a coarse tier has samples of before a finer one's first.

    Its span may begin before what is in it. If it only overlaps the finer one's first, it has more if that lost some.
    """
    return coarse.oldest_ms + tier.span_ms <= oldest_ms or coarse.oldest_ms < oldest_ms <= edge_ms


def widths_ms(plan: Sequence[Stretch], t_ms: Times) -> Times:
    """For each instant the width that its tier's samples stand for."""
    ends = np.array([stretch.end_ms for stretch in plan], np.int64)
    widths = np.array([stretch.tier.width_ms for stretch in plan], np.int64)
    return widths[np.minimum(np.searchsorted(ends, t_ms), len(plan) - 1)]
