"""`lab`: a rule file over simulated days in accelerated time, against the truth of what failed in them.

Every scenario happens, one after the other, with a quiet while in between; of the metrics only those that the rules
read are recorded. The only module of the alerter that knows the simulator: as a library, because the two processes
meet over HTTP and a lab has no second process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from alerter.config import Config
from alerter.datasource.expansion import LANGUAGE, RuleTemplates, graph_link
from alerter.rules import rulefile
from alerter.rules.rulepaths import rule_paths
from alerter.rules.rules import Group
from alerter.tools.backtest import Backtest
from alerter.tools.lab_report import Failure, LabReport, Pages, judged
from alerter.tools.progress import Progress
from alerter.tools.tape import Tape, TapePast
from alerter.wiring import policies
from exporter.model import Snapshot
from exporter.promql.ast import VectorSelector, walk
from exporter.promql.parser import parse
from exporter.simulation.fleet import make_fleet, shipped_roles
from exporter.simulation.incidents import IncidentLog
from exporter.simulation.scenarios import shipped_scenarios
from exporter.simulation.simulator import Simulator

WARM_UP_S = 3_600
AFTER_S = 2_700.0
"""So long after its end a failure may still make a page: a rule over an hour sees it until then."""
_MONDAY_MS = 1_795_392_000_000  # 2026-11-23 00:00 UTC
_MS = 1_000


class LabError(Exception):
    """The lab cannot be run so. The message is one line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated. `rounds`: how often each scenario happens, each time elsewhere; none named are all."""

    servers: int = 20
    seed: int = 1
    interval_s: int = 15
    rounds: int = 1
    scenarios: tuple[str, ...] = ()


async def lab(config: Config, plan: Plan, form: str, out: TextIO, progress: TextIO) -> int:
    """Write the report; 0 if no failure was missed that should be caught and nobody was paged for nothing, else 1.

    Raises RuleFileError, LabError.
    """
    groups = rulefile.load(rule_paths(config.rules), LANGUAGE, config.evaluation.seconds("interval"))
    report = await _run(config, plan, groups, progress)
    print(report.as_json() if form == "json" else report.as_text(), file=out)
    return 0 if report.good else 1


async def _run(config: Config, plan: Plan, groups: Sequence[Group], progress: TextIO) -> LabReport:
    log, start_ms, end_ms = _failures(plan)
    simulator = Simulator(make_fleet(plan.servers), seed=plan.seed, interval_ms=plan.interval_s * _MS, incidents=log)
    shown = Progress(progress, start_ms / _MS, end_ms / _MS)
    tape = Tape(_watched(simulator.ticks(start_ms, end_ms), shown.at), _read_by(groups))
    shown.end()
    templates = partial(
        RuleTemplates, external_labels=config.external_labels, external_url=config.web.link, timeout_s=60.0
    )
    pages = Pages(policies(config))
    first_s, last_s = start_ms / _MS + WARM_UP_S, (end_ms - plan.interval_s * _MS) / _MS
    link = partial(graph_link, config.web.link)
    async for step in Backtest(groups, TapePast(tape), templates, first_s, last_s, link=link).walk():
        for _, transition in step.transitions:
            pages.note(transition)
    failures = [
        Failure(
            record["scenario"],
            record["start"],
            record["end"],
            frozenset(each["server"] for each in record["affected"]),
            tuple(record["expect"]["alerts"]),
        )
        for record in log.truth(start_ms, end_ms)
    ]
    return judged(failures, pages.pages, AFTER_S, last_s - first_s)


def _failures(plan: Plan) -> tuple[IncidentLog, int, int]:
    """What fails and when: the log of it, and the first and last instant to simulate, in Unix ms."""
    known = shipped_scenarios()
    if unknown := [name for name in plan.scenarios if name not in known]:
        raise LabError(f"--scenario {unknown[0]}: must be one of {', '.join(known)}")
    names = plan.scenarios or tuple(known)
    log = IncidentLog(make_fleet(plan.servers), shipped_roles(), known, interval_ms=plan.interval_s * _MS)
    now_ms = _MONDAY_MS + WARM_UP_S * _MS
    for number in range(plan.rounds):
        for name in names:
            try:
                incident = log.inject(name, now_ms=now_ms, id=f"{name}-{plan.seed}-{number}")
            except ValueError as err:
                raise LabError(str(err)) from None
            now_ms = incident.end_ms + round(AFTER_S) * _MS
    return log, _MONDAY_MS, now_ms


def _watched(snapshots: Iterator[Snapshot], told: Callable[[float], None]) -> Iterator[Snapshot]:
    for snapshot in snapshots:
        told(snapshot.t_ms / _MS)
        yield snapshot


def _read_by(groups: Sequence[Group]) -> list[str]:
    """The metrics that the rules name; none, which are all, where one reads metrics without naming them."""
    selectors = [
        node
        for group in groups
        for rule in group.rules
        for node in walk(parse(rule.expr))
        if isinstance(node, VectorSelector)
    ]
    return [] if any(not each.name for each in selectors) else sorted({each.name for each in selectors})
