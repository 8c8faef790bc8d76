"""The commands `simulate`, how real the fleet is, and `truth`, what is really simulated."""

from __future__ import annotations

import argparse
import json
import sys
import time

from exporter.config import Config
from exporter.duration import parse_duration
from exporter.transfer.errors import CheckFailed, Unusable
from exporter.transfer.instants import instant_ms
from exporter.transfer.progress import Progress

SIMULATE_HELP = """measure how far the fleet behaves like real servers

  simulate --realism-report                a week of the configured fleet without failures against real servers
  simulate --realism-report --days 2 --json

Prints what must be true of every sample (H) and the measures that real servers keep within a band (S), by role.
Exits with 1 if an identity is broken or more than a tenth of the measures lie outside."""

TRUTH_HELP = """print the incidents that are simulated, one JSON object a line

The same as /api/truth of a running exporter: those that were injected, from the inventory, and those that happen by
themselves, which follow from the seed; so it can be asked about any time, also the future."""

_INSTANT = "RFC 3339 or Unix seconds"
_HELD = 0.9


def add_simulate_flags(parser: argparse.ArgumentParser) -> None:
    """What `simulate` may be given."""
    parser.add_argument("--realism-report", action="store_true", required=True, help="print the table")
    parser.add_argument("--days", type=int, default=7, metavar="N", help="how many days, 1 to 31 (default: 7)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def simulate(config: Config, flags: argparse.Namespace) -> None:
    """Raises CheckFailed and Unusable."""
    from exporter.simulation.realism import render, report

    if not 1 <= flags.days <= 31:
        raise Unusable(f"--days: {flags.days}: must be from 1 to 31")
    progress = Progress(sys.stderr, time.monotonic)
    rows = report(
        flags.days,
        config.fleet.seed,
        config.fleet.servers,
        told=lambda done, whole: progress.tell("simulated", done, whole),
    )
    progress.end()
    print(json.dumps([row.as_json() for row in rows], indent=2) if flags.json else render(rows))
    broken = [row for row in rows if row.hard and not row.holds]
    soft = [row for row in rows if not row.hard]
    if broken or sum(row.holds for row in soft) < _HELD * len(soft):
        raise CheckFailed("the fleet is not like real servers: see the table")


def add_truth_flags(parser: argparse.ArgumentParser) -> None:
    """What `truth` may be given."""
    parser.add_argument("--start", metavar="T", help=f"first time, {_INSTANT} (default: a day before the last)")
    parser.add_argument("--end", metavar="T", help=f"last time, {_INSTANT} (default: now)")


def truth(config: Config, flags: argparse.Namespace) -> None:
    """Raises Unusable."""
    from exporter.source import open_source

    if config.source != "simulated":
        raise Unusable(f"source: {config.source!r}: only a simulated fleet has a truth")
    end_ms = _instant("--end", flags.end, round(time.time() * 1000))
    start_ms = _instant("--start", flags.start, end_ms - parse_duration("1d"))
    if end_ms < start_ms:
        raise Unusable(f"--end: {flags.end!r}: must not be before --start")
    with open_source(config) as source:
        assert source.incidents is not None, "a simulated fleet has incidents"
        for incident in source.incidents.truth(start_ms, end_ms):
            print(json.dumps(incident, ensure_ascii=False))


def _instant(flag: str, text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    try:
        return instant_ms(text)
    except ValueError as err:
        raise Unusable(f"{flag}: {err}") from None
