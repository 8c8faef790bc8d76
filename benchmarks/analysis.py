"""The analysis: what a sample costs, how fast its answers are, and how much of the simulator's truth it finds."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figure import Figure, percentile
from benchmarks.process import exporter
from benchmarks.serving import scrapes
from benchmarks.truth.suite import (
    HELD_OUT,
    TUNED_ON,
    Outcome,
    Plan,
    Quiet,
    run,
    score,
)
from exporter.analysis.detector import Detector

_SAMPLES = 200_000
_PATHS = (
    ("/api/unified-metrics", "unified API", 20.0),
    ("/api/unified-metrics?action=detailed", "unified API, detailed", 20.0),
    ("/api/ai-agent/optimized", "analysis API", 50.0),
)
_SHORT = Plan(("cpu-saturation", "slow-queries", "server-crash", "disk-full"), (1.0,), 1.0)


def figures() -> Iterator[Figure]:
    """All of it: some 25 minutes on two cores."""
    yield from _costs()
    yield from truth((*TUNED_ON, *HELD_OUT), Plan(quiet_days=7.0))


def figures_short() -> Iterator[Figure]:
    """Four scenarios at full severity and a quiet day of one seed."""
    yield from _costs()
    yield from truth(TUNED_ON[:1], _SHORT)


def _costs() -> Iterator[Figure]:
    rng, detector = random.Random(1), Detector()
    values = [40 + rng.gauss(0, 2) for _ in range(_SAMPLES)]
    started = time.process_time()
    for i, value in enumerate(values):
        detector.update(i * 15.0, value)
    yield Figure("a detector's sample", (time.process_time() - started) / _SAMPLES * 1e6, "us", 15.0)
    with tempfile.TemporaryDirectory() as folder, exporter(Path(folder)) as running:
        while running.status("/api/ai-agent/optimized") != 200:
            time.sleep(0.1)
        for path, what, goal in _PATHS:
            times = asyncio.run(scrapes(running.port, path, "gzip"))
            yield Figure(f"{what}: p99", percentile(times, 99) * 1e3, "ms", goal)


def truth(seeds: Sequence[int], plan: Plan) -> Iterator[Figure]:
    """The suite; a table per scenario goes to standard output, progress to standard error."""
    outcomes: list[Outcome] = []
    quiet: list[Quiet] = []
    for found, days in run(seeds, plan):
        outcomes += found
        quiet.append(days)
        print(f"  seed {days.seed}: {len(found)} failures, {days.days:g} quiet days", file=sys.stderr, flush=True)
    print(table(outcomes, quiet, plan))
    for name, group in (("tuned on", TUNED_ON), ("held out", HELD_OUT)):
        if mine := [outcome for outcome in outcomes if outcome.seed in group]:
            yield from _scored(name, mine, [one for one in quiet if one.seed in group])


def _scored(name: str, outcomes: Sequence[Outcome], quiet: Sequence[Quiet]) -> Iterator[Figure]:
    found = score(outcomes)
    days = sum(one.days for one in quiet) + sum(outcome.hours for outcome in outcomes) / 24
    false = found.false + sum(len(one.false) for one in quiet)
    yield Figure(f"failures missed, seeds {name}", 100 * (1 - found.recall), "%", 5.0)
    yield Figure(f"roots not named first, seeds {name}", 100 * (1 - found.root), "%", 20.0)
    yield Figure(f"median delay, seeds {name}", found.median_delay_s, "s")
    yield Figure(f"false incidents in {days:.1f} fleet-days, seeds {name}", false / days, "a day", 1.0)


def table(outcomes: Sequence[Outcome], quiet: Sequence[Quiet], plan: Plan) -> str:
    """The outcomes by scenario and in all, as Markdown."""
    rows = ["| scenario | failures | recall | median delay | root first | false |", "|---|---|---|---|---|---|"]
    groups = [(name, [one for one in outcomes if one.scenario == name]) for name in plan.scenarios]
    for name, group in [*groups, ("**all**", list(outcomes))]:
        of = score(group)
        delay = f"{of.median_delay_s:.0f} s"
        rows.append(f"| {name} | {of.failures} | {of.recall:.2f} | {delay} | {of.root:.2f} | {of.false} |")
    days, false = sum(one.days for one in quiet), sum(len(one.false) for one in quiet)
    rows.append(f"\nWithout any failure: {false} false incidents in {days:g} fleet-days.")
    rows += [f"  seed {one.seed}: {line}" for one in quiet for line in one.false]
    return "\n".join(rows)
