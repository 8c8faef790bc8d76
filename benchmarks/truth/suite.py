"""Which failures are simulated, and what of them the analysis found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.truth.world import World, inject
from exporter.analysis.incidents import Incident as Analysed

SCENARIOS = (
    "cpu-saturation",
    "noisy-neighbour",
    "memory-leak",
    "disk-full",
    "slow-disk",
    "slow-queries",
    "packet-loss",
    "service-down",
    "server-crash",
    "ddos",
    "database-disk-cascade",
    "storage-full-cascade",
    "api-overload-cascade",
    "web-overload-cascade",
    "worker-memory-cascade",
    "control-memory-cascade",
)
SEVERITIES = (1.0, 0.75, 0.5)
TUNED_ON, HELD_OUT = (1, 2, 3, 4, 5), (101, 102, 103, 104, 105)
_BEFORE_MS, _AFTER_MS = 5 * 60_000, 10 * 60_000
_AFTERMATH_S = 600.0  # what is found so soon after a failure on a server that it affected is no false incident
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulated failure. delay_s: until the analysis said so, None if it never did. root: whether it was right
    about the server where the failure began. false: incidents that had nothing to do with it; hours: watched.
    """

    scenario: str
    severity: float
    seed: int
    delay_s: float | None
    root: bool
    found: str
    false: tuple[str, ...]
    hours: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """Days of one seed without any failure. false: what the analysis found all the same."""

    seed: int
    days: float
    false: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated for each seed."""

    scenarios: tuple[str, ...] = SCENARIOS
    severities: tuple[float, ...] = SEVERITIES
    quiet_days: float = 7.0
    warm_up_hours: float = 24.0


def run(seeds: Sequence[int], plan: Plan, workers: int = 2) -> Iterator[tuple[list[Outcome], Quiet]]:
    """A seed's failures and quiet days as soon as they are done, in the order of the seeds."""
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_of_seed, seeds, [plan] * len(seeds))


def _of_seed(seed: int, plan: Plan) -> tuple[list[Outcome], Quiet]:
    world = World(seed, round(plan.warm_up_hours * 3_600_000))
    outcomes = [_one(world.copy(), scenario, severity) for scenario in plan.scenarios for severity in plan.severities]
    return outcomes, _quiet(world, plan.quiet_days)


def _one(world: World, scenario: str, severity: float) -> Outcome:
    log = world.log()
    start_ms = world.t_ms + _BEFORE_MS
    planned, truth = inject(log, scenario, severity, start_ms, f"{scenario}-{severity}-{world.seed}")
    end_ms = planned.end_ms + _AFTER_MS
    first: dict[str, float] = {}
    last: dict[str, Analysed] = {}
    for t_s, found in world.watch(world.t_ms + 15_000, end_ms, log):
        for incident in found:
            first.setdefault(incident.id, t_s)
            last[incident.id] = incident
    return _judged(world, scenario, severity, truth, first, last, (end_ms - world.t_ms) / 3_600_000)


def _judged(
    world: World,
    scenario: str,
    severity: float,
    truth: Mapping[str, Any],
    first: Mapping[str, float],
    last: Mapping[str, Analysed],
    hours: float,
) -> Outcome:
    affected = {one["server"] for one in truth["affected"]}
    ours = [
        id
        for id, incident in last.items()
        if affected.intersection(incident.servers) and truth["start"] <= first[id] <= truth["end"] + _AFTERMATH_S
    ]
    false = tuple(described(last[id]) for id in last if id not in ours)
    inside = [id for id in ours if first[id] <= truth["end"] + 60]
    if not inside:
        return Outcome(scenario, severity, world.seed, None, False, "", false, hours)
    told = min(inside, key=lambda id: first[id])
    right = last[told].root.server in truth["targets"]
    return Outcome(
        scenario, severity, world.seed, first[told] - truth["start"], right, described(last[told]), false, hours
    )


def _quiet(world: World, days: float) -> Quiet:
    seen: dict[str, Analysed] = {}
    for _, found in world.watch(world.t_ms + 15_000, world.t_ms + round(days * _DAY_MS)):
        seen.update((incident.id, incident) for incident in found)
    return Quiet(world.seed, days, tuple(described(incident) for incident in seen.values()))


def described(incident: Analysed) -> str:
    """One line for who looks for the reason."""
    when = f"{incident.started % 86_400 / 3600:.2f} h, {incident.last_odd - incident.started:.0f} s"
    odd = ", ".join(
        f"{of.server} {of.metric} {of.value:.2f} ({of.expected[0]:.2f} to {of.expected[1]:.2f})"
        f" after {of.since - incident.started:.0f} s"
        for of in incident.evidence[:6]
    )
    return f"{incident.id} [{when}] {odd}"


@dataclass(frozen=True, slots=True)
class Score:
    """What of some failures was found. Shares are 0 to 1; median_delay_s is NaN if nothing was."""

    failures: int
    recall: float
    median_delay_s: float
    root: float
    false: int


def score(outcomes: Sequence[Outcome]) -> Score:
    """All in all; a root that was not found is not right. Raises ValueError if there are no outcomes."""
    if not outcomes:
        raise ValueError("no outcomes")
    delays = [outcome.delay_s for outcome in outcomes if outcome.delay_s is not None]
    return Score(
        len(outcomes),
        len(delays) / len(outcomes),
        statistics.median(delays) if delays else float("nan"),
        sum(outcome.root for outcome in outcomes) / len(outcomes),
        sum(len(outcome.false) for outcome in outcomes),
    )
