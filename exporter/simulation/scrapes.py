"""How the page of one server comes to whoever scrapes it, while failures keep it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from exporter.simulation.effects import SILENCING, Kind
from exporter.simulation.noise import bits, key
from exporter.simulation.plans import Plan

TIMEOUT_S = 10.0  # as long as a Prometheus waits unless it is told otherwise
_TO_UNIT = 2.0**-64


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape of one server is like.

    off: the machine is off, nobody answers. failing: its exporter answers with an error. delay_s: how long the page
    takes. part: how much of it comes, 1 for all.
    """

    off: bool = False
    failing: bool = False
    delay_s: float = 0.0
    part: float = 1.0

    def lost(self, timeout_s: float) -> bool:
        """Whether a scraper that waits so long gets nothing it can use."""
        return self.off or self.failing or self.part < 1.0 or self.delay_s >= timeout_s


WELL = Scrape()


def scrapes(plans: Iterable[Plan], t_ms: int, seed: int) -> dict[str, Scrape]:
    """The scrapes at a time that are not well, by server. plans: those that are in force."""
    found: dict[str, Scrape] = {}
    for plan in plans:
        if plan.kind in SILENCING and (scrape := _with(found.get(plan.server, WELL), plan, t_ms, seed)) != WELL:
            found[plan.server] = scrape
    return found


def _with(before: Scrape, plan: Plan, t_ms: int, seed: int) -> Scrape:
    strength = plan.strength(t_ms)
    off, failing, delay_s, part = before.off, before.failing, before.delay_s, before.part
    if plan.kind in (Kind.DOWN, Kind.CRASH):
        off = off or strength >= 0.5
    elif plan.kind is Kind.SCRAPE_DOWN:
        failing = failing or strength >= 0.5
    elif plan.kind is Kind.SCRAPE_SLOW:
        delay_s = max(delay_s, round(strength, 3))
    elif plan.kind is Kind.SCRAPE_TRUNCATED:
        part = min(part, max(0.0, 1.0 - strength / 100.0))
    elif plan.kind is Kind.SCRAPE_GAP:
        failing = failing or _missed(plan.server, t_ms, seed) < strength
    return Scrape(off, failing, delay_s, part)


def _missed(server: str, t_ms: int, seed: int) -> float:
    of = np.array([key(seed, "scrape/gap", server)], dtype=np.uint64)
    return int(bits(of, np.array([t_ms], dtype=np.int64))[0]) * _TO_UNIT
