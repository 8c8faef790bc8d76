"""What a lab found: which failures the rules would have caught, how fast, and how many pages woke somebody for nothing.

A page is the beginning of a message's group: alerts that are told together. It belongs to a failure if it comes
between the failure's beginning and a while after its end, from a server that the failure touches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from alerter.decisions.dispatch import Policy
from alerter.decisions.evaluation import Change, Transition
from exporter.duration import format_duration
from exporter.model import Labels


@dataclass(frozen=True, slots=True)
class Failure:
    """One that was really simulated. Times are Unix seconds; `expected`: the alerts that its scenario expects."""

    scenario: str
    start: float
    end: float
    servers: frozenset[str]
    expected: tuple[str, ...] = ()


@dataclass(slots=True)
class Page:
    """One group of alerts from when it begins to fire until all of it is resolved; `end` None while it fires."""

    group: Labels
    start: float
    end: float | None = None

    def label(self, name: str) -> str:
        """The value of a label; "" where the group has none."""
        return dict(self.group).get(name, "")


class Verdict(StrEnum):
    """What became of a failure."""

    CAUGHT = "caught"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One failure with its pages, in the order in which they came."""

    failure: Failure
    pages: tuple[Page, ...]

    @property
    def verdict(self) -> Verdict:
        return Verdict.CAUGHT if self.pages else Verdict.MISSED

    @property
    def fails(self) -> bool:
        """Whether it was missed though its scenario expects alerts."""
        return self.verdict is Verdict.MISSED and bool(self.failure.expected)

    @property
    def detected_s(self) -> float | None:
        """From its beginning to the first page."""
        return self.pages[0].start - self.failure.start if self.pages else None

    @property
    def resolved_s(self) -> float | None:
        """From its end to that of the last page; None while one fires, or where there was none."""
        ends = [page.end for page in self.pages if page.end is not None]
        if not ends or len(ends) < len(self.pages):
            return None
        return max(0.0, max(ends) - self.failure.end)

    @property
    def flaps(self) -> int:
        """How often a group began to fire again."""
        return len(self.pages) - len({page.group for page in self.pages})

    @property
    def silent(self) -> tuple[str, ...]:
        """The expected alerts that did not fire."""
        fired = {page.label("alertname") for page in self.pages}
        return tuple(name for name in self.failure.expected if name not in fired)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; times are Unix seconds."""
        return {
            "scenario": self.failure.scenario,
            "start": self.failure.start,
            "end": self.failure.end,
            "servers": sorted(self.failure.servers),
            "verdict": str(self.verdict),
            "time_to_detect_seconds": self.detected_s,
            "time_to_resolve_seconds": self.resolved_s,
            "pages": [{**dict(page.group), "start": page.start, "end": page.end} for page in self.pages],
            "flaps": self.flaps,
            "expected": list(self.failure.expected),
            "expected_but_silent": list(self.silent),
        }


class Pages:
    """Turns alerts' steps into pages."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._firing: dict[Labels, set[Labels]] = {}
        self.pages: list[Page] = []

    def note(self, step: Transition) -> None:
        """Take in one step."""
        group = self._policy.group_of(step.alert.labels)
        firing = self._firing.setdefault(group, set())
        if step.change is Change.FIRING:
            if not firing:
                self.pages.append(Page(group, step.t))
            firing.add(step.alert.labels)
        elif step.change is Change.RESOLVED:
            firing.discard(step.alert.labels)
            if not firing:
                next(page for page in reversed(self.pages) if page.group == group).end = step.t


@dataclass(frozen=True, slots=True)
class LabReport:
    """All outcomes, and the pages that belong to no failure. `span_s`: how long was simulated."""

    outcomes: tuple[Outcome, ...]
    false_pages: tuple[Page, ...]
    span_s: float

    @property
    def good(self) -> bool:
        """Nothing missed that its scenario expects to be caught, and nobody woken for nothing."""
        return not self.false_pages and not any(outcome.fails for outcome in self.outcomes)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many failures were caught and missed."""
        return {verdict: sum(outcome.verdict is verdict for outcome in self.outcomes) for verdict in Verdict}

    def as_json(self) -> str:
        """The whole report as one JSON object."""
        tree = {
            "good": self.good,
            "simulated_seconds": self.span_s,
            **{str(verdict): count for verdict, count in self.counts.items()},
            "failures": [outcome.as_json() for outcome in self.outcomes],
            "false_pages": [{**dict(page.group), "start": page.start, "end": page.end} for page in self.false_pages],
        }
        return json.dumps(tree, ensure_ascii=False, indent=2)

    def as_text(self) -> str:
        """The whole report as a table with a summary."""
        rows: list[tuple[str, ...]] = [
            ("scenario", "verdict", "detected after", "resolved after", "pages", "flaps", "alerts")
        ]
        rows += [_row(outcome) for outcome in self.outcomes]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += ["", *(f"false page: {_named(page)}" for page in self.false_pages)]
        counted = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())
        lines.append(f"{_span(self.span_s)} simulated: {counted}, {len(self.false_pages)} false pages")
        return "\n".join(lines)


def judged(failures: Sequence[Failure], pages: Iterable[Page], after_s: float, span_s: float) -> LabReport:
    """Each page belongs to the failure that began last of those it can belong to; the others are false."""
    mine: dict[int, list[Page]] = {index: [] for index in range(len(failures))}
    false: list[Page] = []
    for page in sorted(pages, key=lambda page: page.start):
        possible = [index for index, failure in enumerate(failures) if _belongs(page, failure, after_s)]
        (mine[max(possible, key=lambda index: failures[index].start)] if possible else false).append(page)
    outcomes = tuple(Outcome(failure, tuple(mine[index])) for index, failure in enumerate(failures))
    return LabReport(outcomes, tuple(false), span_s)


def _belongs(page: Page, failure: Failure, after_s: float) -> bool:
    server = page.label("server")
    return failure.start <= page.start <= failure.end + after_s and (not server or server in failure.servers)


def _row(outcome: Outcome) -> tuple[str, ...]:
    names = dict.fromkeys(page.label("alertname") for page in outcome.pages)
    said = [*names, *(f"({name} was expected)" for name in outcome.silent)]
    if outcome.verdict is Verdict.MISSED and not outcome.failure.expected:
        said = ["(no alert is expected)"]
    detected, resolved = outcome.detected_s, outcome.resolved_s
    return (
        outcome.failure.scenario,
        str(outcome.verdict),
        "" if detected is None else _span(detected),
        "" if not outcome.pages else "still fires" if resolved is None else _span(resolved),
        str(len(outcome.pages)),
        str(outcome.flaps),
        " ".join(said),
    )


def _named(page: Page) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in page.group)
    return f"{labels} for {'ever' if page.end is None else _span(page.end - page.start)}"


def _span(seconds: float) -> str:
    return format_duration(round(seconds) * 1_000)
