"""The commands `export`, `import`, `backfill` and `stats`: their flags, and the rooms they need put together."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from exporter.config import Config
from exporter.duration import format_duration, parse_duration
from exporter.transfer.errors import Unusable
from exporter.transfer.instants import instant_ms
from exporter.transfer.progress import Progress

if TYPE_CHECKING:  # who asks for --help does not wait for numpy
    from exporter.model import Snapshot
    from exporter.simulation.simulator import Simulator
    from exporter.storage.database import Database
    from exporter.transfer.exporting import Selector
    from exporter.transfer.importing import Imported

_PENDING_BYTES = 16 << 20
_STORE_PATIENCE_S = 120.0
_INSTANT = "RFC 3339 or Unix seconds"

EXPORT_HELP = """write history as OpenMetrics text with timestamps

It may run beside a running exporter. The text goes into a Prometheus by
  openmanager-exporter export | promtool tsdb create-blocks-from openmetrics /dev/stdin DIRECTORY
A stale marker (the mark that a series ended) cannot be written as text and is left out."""

IMPORT_HELP = """read OpenMetrics text with timestamps into the store

Samples of any time within the retention are taken, whatever the store has already; one at the time of another takes
its place, unless that is the fleet's own. Older ones are counted and left out. A mistake in the text ends the import
with its line; what came before is kept, and importing the mended text again changes nothing.
While an exporter runs on the store, it is refused: stop the exporter, or send the samples by remote write."""

BACKFILL_HELP = """make the simulated fleet's past

The ticks that would have been are kept up to now: an exporter that starts afterwards goes on without a seam. Of a store
that has ticks already, what is before the first and after the last of them is made; gaps between them stay gaps, and
nothing is doubled. A backfill that was stopped in the middle goes on where it was when it is started again.
While an exporter runs on the store, it is refused: stop the exporter first."""


STATS_HELP = """tell how much is kept of what

Series, samples and bytes by tier and family, against the same number of samples at 16 bytes each. A sample of the tiers
1m, 5m and 1h is an aggregate with all its columns. It reads the whole store and may run beside a running exporter."""


def add_stats_flags(parser: argparse.ArgumentParser) -> None:
    """What `stats` may be given."""
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """What `export` may be given."""
    parser.add_argument("--start", metavar="T", help=f"first time, {_INSTANT} (default: all that is kept)")
    parser.add_argument("--end", metavar="T", help=f"last time, {_INSTANT} (default: now)")
    parser.add_argument(
        "--match", action="append", default=[], metavar="SELECTOR", help="series that match; may be given repeatedly"
    )
    parser.add_argument("--output", metavar="FILE", help="where to write (default: standard output)")


def add_import_flags(parser: argparse.ArgumentParser) -> None:
    """What `import` must be given."""
    parser.add_argument("file", metavar="FILE", help="OpenMetrics text; - is standard input")


def add_backfill_flags(parser: argparse.ArgumentParser) -> None:
    """What `backfill` must be given."""
    parser.add_argument("--for", dest="duration", metavar="DURATION", required=True, help="how much, such as 24h")
    parser.add_argument("--until", metavar="T", help=f"the last time, {_INSTANT} (default: now)")


def export(config: Config, flags: argparse.Namespace) -> None:
    """Writes the text. Raises Unusable."""
    from exporter.transfer.exporting import export as exported

    now_ms = _now_ms()
    start_ms = _given("--start", flags.start, instant_ms, 0)
    end_ms = _given("--end", flags.end, instant_ms, now_ms)
    if end_ms < start_ms:
        raise Unusable(f"--end: {flags.end!r}: must not be before --start")
    selectors = [_selector(text) for text in flags.match]
    progress = Progress(sys.stderr, time.monotonic)
    with _database(config, tends=False) as database, _output(flags.output) as out:
        start_ms = max(start_ms, end_ms + 1 if (oldest_ms := database.oldest_ms()) is None else oldest_ms)
        for text in exported(database, selectors, start_ms, end_ms, progress.tell):
            out.write(text)
        out.flush()
        progress.end()


def import_(config: Config, flags: argparse.Namespace) -> None:
    """Takes in a text and says how much it was. Raises Unusable."""
    from exporter.openmetrics import OpenMetricsError
    from exporter.transfer.importing import Imported, import_text

    progress = Progress(sys.stderr, time.monotonic)
    now_ms = _now_ms()
    done = Imported()
    with _input(flags.file) as (source, size), _held(config) as database:
        try:
            for done in import_text(source, database.ingest, now_ms - _longest_ms(config)):
                _drain(database)
                progress.tell("imported", done.bytes_read if size else done.samples, size)
        except OpenMetricsError as err:
            _settle(database, now_ms)
            raise Unusable(f"{flags.file}: {err}") from None
        _settle(database, now_ms)
    progress.end()
    _say(_summary(done))


def backfill(config: Config, flags: argparse.Namespace) -> None:
    """Makes the past and says how much it was. Raises Unusable."""
    now_ms = _now_ms()
    end_ms = _given("--until", flags.until, instant_ms, now_ms)
    span_ms = _given("--for", flags.duration, parse_duration, 0)
    start_ms = end_ms - span_ms + 1
    if end_ms > now_ms:
        raise Unusable(f"--until: {flags.until!r}: must not be in the future")
    if span_ms <= 0 or start_ms < now_ms - _longest_ms(config):
        kept = format_duration(_longest_ms(config))
        raise Unusable(f"--for: {flags.duration!r}: must be more than nothing and begin within the retention of {kept}")
    progress = Progress(sys.stderr, time.monotonic)
    with _held(config) as database, _simulator(config) as simulator:
        count, samples, whole = 0, 0, span_ms / parse_duration(config.fleet.interval)
        for ticks in _past(config, database, simulator, start_ms, end_ms):
            count += len(ticks)
            samples += sum(len(column.values) for tick in ticks for column in tick.columns)
            progress.tell("backfilled", count, whole)
        _settle(database, now_ms)
        lost = database.stats().samples_lost
    progress.end()
    if lost:
        raise Unusable(f"storage.url: {lost:,} of {samples:,} samples are not kept, the log says why")
    _say(f"{count:,} ticks with {samples:,} samples backfilled.")


def stats(config: Config, flags: argparse.Namespace) -> None:
    """Writes how much is kept. Raises Unusable."""
    from exporter.storage.store import StoreError
    from exporter.transfer.counting import as_json, as_table

    progress = Progress(sys.stderr, time.monotonic)
    with _database(config, tends=False) as database:
        try:
            kept = database.survey(lambda done, whole: progress.tell("read", done, whole))
        except StoreError as err:
            raise Unusable(f"storage.url: {err}") from None
        stored = database.stored_bytes()
    progress.end()
    print(as_json(kept, stored) if flags.json else as_table(kept, stored))


def _past(
    config: Config, database: Database, simulator: Simulator, start_ms: int, end_ms: int
) -> Iterator[Sequence[Snapshot]]:
    from exporter.transfer.backfilling import Making, first_tick_ms, markers

    def fill(before: Snapshot | None, ticks: Sequence[Snapshot]) -> None:
        if not database.fill(before, ticks, _STORE_PATIENCE_S):
            raise _not_taken()

    making = Making(simulator.at, simulator.ticks, parse_duration(config.fleet.interval), fill)
    last = database.latest()
    if last is not None and last.t_ms >= start_ms:
        first_ms = first_tick_ms(database, last, start_ms, last.t_ms) or last.t_ms
        for number, ticks in enumerate(making.before(first_ms, start_ms, end_ms)):
            if not number and end_ms >= first_ms - 1:
                families = [column.index.family for column in ticks[-1].columns]
                database.ingest(markers(database, ticks[-1], first_ms), families)
            yield ticks
        start_ms = last.t_ms + 1
    yield from making.after(last, start_ms, end_ms)


def _longest_ms(config: Config) -> int:
    """The retention of the tier that is kept longest."""
    return max(config.retention.by_tier_ms().values())


def _now_ms() -> int:
    return int(time.time() * 1000)


def _given(flag: str, text: str | None, read: Callable[[str], int], otherwise: int) -> int:
    if text is None:
        return otherwise
    try:
        return read(text)
    except ValueError as err:
        raise Unusable(f"{flag}: {err}") from None


def _selector(text: str) -> Selector:
    from exporter.promql.errors import ParseError
    from exporter.promql.parser import parse_selector

    try:
        return parse_selector(text)
    except ParseError as err:
        raise Unusable(f"--match: {text!r}: {err}") from None


def _summary(done: Imported) -> str:
    old = f" {done.too_old:,} are older than the retention and were left out." if done.too_old else ""
    return f"{done.samples:,} samples imported.{old}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@contextlib.contextmanager
def _output(name: str | None) -> Iterator[TextIO]:
    if name is None:
        yield sys.stdout
        return
    try:
        out = Path(name).open("w", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as err:
        raise Unusable(f"--output: {name}: {err.strerror}") from None
    with out:
        yield out


@contextlib.contextmanager
def _input(name: str) -> Iterator[tuple[BinaryIO, float | None]]:
    """A file and its size; standard input and pipes have none."""
    if name == "-":
        yield sys.stdin.buffer, None
        return
    try:
        source = Path(name).open("rb")  # noqa: SIM115 (closed below)
        source.peek(1)
    except OSError as err:
        raise Unusable(f"{name}: {err.strerror}") from None
    with source:
        yield source, float(Path(name).stat().st_size) or None


@contextlib.contextmanager
def _database(config: Config, *, tends: bool) -> Iterator[Database]:
    from exporter.source import fleet_name
    from exporter.storage.database import Database
    from exporter.storage.open import open_store
    from exporter.storage.stats import Limits
    from exporter.storage.store import UnusableStore

    try:
        store = open_store(config.storage.url, fleet_name(config))
    except UnusableStore as err:
        raise Unusable(f"storage.url: {str(err).removeprefix('storage.url: ')}") from None
    limits = Limits.keeping(config.retention.by_tier_ms())
    database = Database(store, interval_ms=parse_duration(config.fleet.interval), limits=limits, tends=tends)
    with contextlib.closing(database):
        if database.stats().store_away:
            raise Unusable("storage.url: the store cannot be reached")
        yield database


@contextlib.contextmanager
def _held(config: Config) -> Iterator[Database]:
    """The store, for this process alone."""
    from exporter.storage.holding import StoreHeld, held

    if config.storage.url.startswith("memory:"):
        raise Unusable("storage.url: 'memory:': what is written there ends with this command")
    try:
        with held(config.storage.url), _database(config, tends=True) as database:
            _refuse_if_ticking(config, database)
            yield database
    except StoreHeld as err:
        raise Unusable(f"storage.url: {err}; stop the exporter first") from None


def _refuse_if_ticking(config: Config, database: Database) -> None:
    """Where nothing can be held, a tick that is not yet old tells of an exporter."""
    last = database.latest()
    if last is None or config.storage.url.startswith("sqlite:"):
        return
    quiet_ms = 2 * parse_duration(config.fleet.interval)
    if _now_ms() - last.t_ms < quiet_ms:
        waited = format_duration(quiet_ms)
        raise Unusable(f"storage.url: an exporter was writing to it within the last {waited}; stop it and wait so long")


@contextlib.contextmanager
def _simulator(config: Config) -> Iterator[Simulator]:
    from exporter.source import open_source

    if config.source != "simulated":
        raise Unusable(f"source: {config.source!r}: only the past of a simulated fleet can be made")
    with open_source(config) as source:
        assert source.fleet is not None, "a simulated fleet has a simulator"
        yield source.fleet.simulator


def _drain(database: Database) -> None:
    """Wait for the store before memory has to let go of what it has not got."""
    if database.stats().pending_bytes > _PENDING_BYTES and not database.flush(_STORE_PATIENCE_S):
        raise _not_taken()


def _settle(database: Database, now_ms: int) -> None:
    """All of it in the store, and sealed."""
    database.expire(now_ms)
    if not database.flush(_STORE_PATIENCE_S):
        raise _not_taken()
    while not database.settle(_STORE_PATIENCE_S):
        if database.stats().store_away:
            raise _not_taken()


def _not_taken() -> Unusable:
    return Unusable(f"storage.url: the store did not take the samples within {_STORE_PATIENCE_S:g} s")
