"""The same promises on every store: what goes in comes out, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.model import (
    STALE_NAN_BITS,
    Column,
    Family,
    Matcher,
    MatchType,
    MetricType,
    SeriesIndex,
    SeriesSet,
    Snapshot,
    make_labels,
)
from exporter.storage import segment
from exporter.storage.database import Database
from exporter.storage.groups import read_log
from exporter.storage.layout import WINDOW_MS
from exporter.storage.open import open_store
from exporter.storage.stats import Limits
from tests.storage.conftest import Open
from tests.storage.fleet import CPU, EVER, START_MS, STEP_MS, Fleet, everything, index, named, note, samples

STALE = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)[0]


def test_samples_come_back_bit_for_bit_across_windows_and_a_restart(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url)
    fleet.run(database, 700)
    assert everything(database) == fleet.said
    assert database.settle()
    assert everything(database) == fleet.said
    assert database.stats().blocks
    database.close()
    again = opened(lasting_url)
    assert everything(again) == fleet.said
    fleet.run(again, 700)
    assert again.settle()
    assert everything(again) == fleet.said


def test_every_store_answers_from_its_blocks_as_from_its_frames(store_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(store_url, limits=Limits(cache_bytes=0, sealed_bytes=0, frames_bytes=0))
    fleet.run(database, 500)
    assert database.settle()
    fleet.run(database, 70)
    assert database.flush()
    fleet.run(database, 1)
    stats = database.stats()
    assert stats.blocks == 4
    assert stats.cache_bytes == 0
    assert stats.memory_bytes < stats.frame_bytes / 4
    assert everything(database) == fleet.said


def test_select_keeps_to_matchers_and_inclusive_times(store_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(store_url)
    fleet.run(database, 600)
    first, last = START_MS + 3 * STEP_MS, START_MS + 500 * STEP_MS
    found = samples(database.select(named(CPU.name, server="web-02"), first, last))
    labels = make_labels({"__name__": CPU.name, "server": "web-02", "zone": "a"})
    assert found == {labels: {t: v for t, v in fleet.said[labels].items() if first <= t <= last}}


MATCHERS = [
    ([Matcher(MatchType.REGEX, "__name__", "node_(cpu|load).*")], 6),
    ([Matcher(MatchType.REGEX, "server", "web-.*")], 8),
    ([Matcher(MatchType.NOT_REGEX, "server", "web-.*")], 4),
    ([Matcher(MatchType.NOT_EQUAL, "server", "db-01"), *named("node_up")], 2),
    ([Matcher(MatchType.EQUAL, "missing", ""), *named("node_up")], 3),
    ([Matcher(MatchType.NOT_EQUAL, "missing", ""), *named("node_up")], 0),
    ([Matcher(MatchType.EQUAL, "server", "nobody")], 0),
    ([], 12),
]


@pytest.mark.parametrize(("matchers", "count"), MATCHERS)
def test_series_and_select_agree_on_what_matches(matchers: list[Matcher], count: int) -> None:
    database = Database(open_store("memory:"))
    Fleet().run(database, 3)
    found = database.series(matchers, *EVER)
    assert len(found) == len(set(found)) == count
    assert set(samples(database.select(matchers, *EVER))) == set(found)
    database.close()


def test_a_series_that_vanishes_gets_one_stale_marker_and_may_come_back(store_url: str, opened: Open) -> None:
    database = opened(store_url)
    fleet = Fleet()
    everyone = fleet.servers
    fleet.run(database, 100)
    fleet.servers = everyone[:1] + everyone[2:]
    gone_ms = fleet.t_ms
    fleet.run(database, 50)
    fleet.servers = everyone
    fleet.run(database, 30)
    for labels, said in fleet.said.items():
        if dict(labels)["server"] == "web-02":
            said[gone_ms] = STALE_NAN_BITS
    assert everything(database) == fleet.said
    fleet.run(database, 400)
    assert database.settle()
    assert everything(database) == fleet.said


@pytest.mark.parametrize("ticks", [60, 100, 480], ids=["at a baseline", "between", "at a new window"])
@pytest.mark.parametrize("after", [("web-01",), ("web-01", "db-01", "new-01"), ("new-01", "new-02")])
def test_a_fleet_that_changes_is_kept_whole(ticks: int, after: tuple[str, ...], opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet()
    before = fleet.servers
    fleet.run(database, ticks)
    fleet.servers = after
    changed_ms = fleet.t_ms
    fleet.run(database, 2)
    for labels, said in fleet.said.items():
        if dict(labels)["server"] in set(before) - set(after):
            said[changed_ms] = STALE_NAN_BITS
    assert everything(database) == fleet.said
    fleet.run(database, 500)
    assert database.settle()
    assert everything(database) == fleet.said


@pytest.mark.parametrize("ticks", [10, 480])
def test_a_metric_that_is_not_said_any_more_ends(ticks: int, opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet()
    fleet.run(database, ticks)
    ended_ms = fleet.t_ms
    for _ in range(3):
        whole = fleet.tick()
        database.append(Snapshot(whole.t_ms, whole.columns[1:]))
    kept = samples(database.select(named(CPU.name), *EVER))
    assert len(kept) == 3
    for labels, said in kept.items():
        truth = {t: v for t, v in fleet.said[labels].items() if t < ended_ms}
        assert said == {**truth, ended_ms: STALE_NAN_BITS}


def test_series_missing_after_a_restart_get_their_stale_marker(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url)
    fleet.run(database, 5)
    database.close()
    fleet.servers = fleet.servers[:2]
    again = opened(lasting_url)
    restarted_ms = fleet.t_ms
    fleet.run(again, 3)
    for labels, said in fleet.said.items():
        if dict(labels)["server"] == "db-01":
            said[restarted_ms] = STALE_NAN_BITS
    assert everything(again) == fleet.said


def test_latest_is_the_last_tick_after_a_restart_too(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url)
    assert database.latest() is None
    for ticks in (1, 60, 500):
        fleet.run(database, ticks)
        assert database.settle()
        database.close()
        database = opened(lasting_url)
        latest = database.latest()
        assert latest is not None
        assert latest.t_ms == fleet.t_ms - STEP_MS
        found: dict[tuple[tuple[str, str], ...], dict[int, int]] = {}
        note(found, latest)
        assert found == {labels: {latest.t_ms: said[latest.t_ms]} for labels, said in fleet.said.items()}
        assert database.families()[CPU.name] == CPU


def test_ticks_of_a_clock_that_was_set_back_fill_holes_and_change_nothing(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url)
    fleet.run(database, 10)
    hole_ms = fleet.t_ms + 5 * STEP_MS
    late = Fleet(seed=2, t_ms=hole_ms).tick()
    fleet.t_ms = hole_ms + 40 * STEP_MS
    fleet.run(database, 10)
    database.append(Fleet(seed=2, t_ms=fleet.t_ms - 5 * STEP_MS).tick())
    known = database.revision
    database.append(late)
    assert database.revision != known  # kept answers may lack it
    assert database.stats().late_ticks == 2
    note(fleet.said, late)
    assert everything(database) == fleet.said
    database.close()
    again = opened(lasting_url)
    again.append(Fleet(seed=2, t_ms=fleet.t_ms - STEP_MS).tick())
    assert again.stats().late_ticks == 1
    assert everything(again) == fleet.said
    assert everything(again) == fleet.said


def test_ticks_that_are_late_or_missing_keep_their_times(opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet()
    random = np.random.default_rng(3)
    for _ in range(300):
        database.append(fleet.tick())
        fleet.t_ms += int(random.integers(0, 4)) * int(random.integers(0, 9_000))
    assert everything(database) == fleet.said
    assert database.settle()
    assert everything(database) == fleet.said


def test_any_bits_are_kept_in_gauges_and_counters(store_url: str, opened: Open) -> None:
    random = np.random.default_rng(4)
    specials = np.array([0x7FF0000000000002, 0x7FF8000000000000, 0xFFF8000000000001, 0x8000000000000000, 1, 2**63 - 1])
    where = index(Family("wild", MetricType.GAUGE, ""), [f"s{i}" for i in range(40)])
    said: dict[tuple[tuple[str, str], ...], dict[int, int]] = {}
    database = opened(store_url)
    for tick in range(540):
        bits = random.integers(0, 2**64, 40, np.uint64)
        bits[:10] = random.choice(specials.astype(np.uint64), 10)
        bits[10:20] = np.round(random.normal(0, 10, 10), 1).view(np.uint64)
        snapshot = Snapshot(START_MS + tick * STEP_MS, (Column(where, bits.view(np.float64)),))
        note(said, snapshot)
        database.append(snapshot)
    assert everything(database) == said
    assert database.settle()
    assert everything(database) == said


def _imported(metric: str, server: str, t_ms: list[int], values: list[float]) -> SeriesSet:
    labels = make_labels({"__name__": metric, "server": server, "zone": "a"})
    return SeriesSet([labels], np.array(t_ms, np.int64), np.array([values]))


def test_imported_samples_of_any_time_are_kept_and_sealed(store_url: str, opened: Open) -> None:
    database = opened(store_url)
    fleet = Fleet()
    fleet.run(database, 3)
    random = np.random.default_rng(5)
    for number in range(30):
        times = np.unique(random.integers(START_MS - 3 * WINDOW_MS, START_MS - 1, 50)).tolist()
        each = _imported("other_metric", f"s{number % 7}", times, random.normal(0, 1, len(times)).tolist())
        bits = np.ascontiguousarray(each.values[0]).view(np.uint64).tolist()
        fleet.said.setdefault(each.labels[0], {}).update(zip(times, bits, strict=True))
        assert database.ingest([each], [Family("other_metric", MetricType.COUNTER, "help")]) == len(times)
        if number % 10 == 9:
            assert everything(database) == fleet.said
            database.expire(START_MS)
            assert database.settle()
            assert everything(database) == fleet.said
    assert database.families()["other_metric"].type is MetricType.COUNTER


def test_history_imported_before_a_fleet_continues_into_its_ticks(opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet()
    fleet.run(database, 5)
    past = [START_MS - 7 * STEP_MS, START_MS - STEP_MS]
    each = _imported(CPU.name, "web-01", past, [1.5, 2.5])
    database.ingest([each], [CPU])
    fleet.said[each.labels[0]].update(zip(past, np.array([1.5, 2.5]).view(np.uint64).tolist(), strict=True))
    assert everything(database) == fleet.said


def test_an_imported_sample_replaces_an_imported_one_and_never_the_fleet_s_own(opened: Open) -> None:
    database = opened("memory:")
    fleet = Fleet()
    fleet.run(database, 2)
    for value in (1.0, 2.0):
        database.ingest([_imported(CPU.name, "web-01", [START_MS - STEP_MS, START_MS], [value, value])], [CPU])
    labels = make_labels({"__name__": CPU.name, "server": "web-01", "zone": "a"})
    fleet.said[labels][START_MS - STEP_MS] = int(np.float64(2.0).view(np.uint64))
    assert everything(database) == fleet.said
    database.expire(START_MS)
    assert database.settle()
    assert everything(database) == fleet.said


def test_labels_that_come_again_in_other_company_are_not_kept_again() -> None:
    store = open_store("memory:")
    database = Database(store)
    random = np.random.default_rng(14)
    told: dict[tuple[tuple[str, str], ...], dict[int, int]] = {}
    for number in range(40):
        t_ms = np.array([START_MS + number * 1_000])
        names = random.permutation(30)[: random.integers(1, 30)]
        labels = [make_labels({"__name__": "pushed", "pod": f"pod-{name}"}) for name in names]
        values = random.normal(0, 1, (len(labels), 1))
        database.ingest([SeriesSet(labels, t_ms, values)])
        for each, bits in zip(labels, values[:, 0].view(np.uint64).tolist(), strict=True):
            told.setdefault(each, {})[int(t_ms[0])] = bits
    assert everything(database) == told
    assert database.flush()
    digests = {
        run.segment
        for log in store.logs()
        for block in read_log(log, store.read(log), _no_damage)
        for run in block.runs
    }
    rows = sum(len(segment.decode(digest, store.segment(digest) or b"").index.rows) for digest in digests)
    assert rows == 30
    database.expire(START_MS)
    assert database.settle()
    assert everything(database) == told
    database.close()


def _no_damage(name: tuple[object, ...], reason: str, data: bytes) -> None:
    pytest.fail(f"{name}: {reason}")


def test_one_that_looks_in_sees_what_the_one_that_tends_seals_meanwhile(lasting_url: str, opened: Open) -> None:
    fleet = Fleet()
    database = opened(lasting_url)
    fleet.run(database, 100)
    assert database.flush()
    beside = opened(lasting_url, tends=False)
    fleet.run(database, 400)
    assert database.settle()
    assert everything(database) == fleet.said
    seen = everything(beside)
    assert {name: list(said)[:480] for name, said in seen.items()} == {
        name: list(said)[:480] for name, said in fleet.said.items()
    }


def test_two_fleets_share_a_redis_by_their_names(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis_server").url
    fleets = [Fleet(seed=1), Fleet(seed=2)]
    databases = [Database(open_store(url, f"shared-{number}")) for number in range(2)]
    for fleet, database in zip(fleets, databases, strict=True):
        fleet.run(database, 500)
        assert database.settle()
    for fleet, database in zip(fleets, databases, strict=True):
        assert everything(database) == fleet.said
        database.close()


def test_a_metric_of_more_series_than_a_log_holds_is_kept_in_parts(opened: Open) -> None:
    count = 5_000
    where = SeriesIndex(CPU, CPU.name, ("server",), tuple((f"s{i}",) for i in range(count)))
    random = np.random.default_rng(6)
    values = np.round(random.uniform(0, 100, (481, count)), 1)
    database = opened("memory:")
    for tick, row in enumerate(values):
        database.append(Snapshot(START_MS + tick * STEP_MS, (Column(where, row),)))
    for _ in range(2):
        (found,) = database.select(named(CPU.name), START_MS, START_MS + 479 * STEP_MS)
        assert found.present is None
        assert list(found.labels) == [where.labels(i) for i in range(count)]
        assert np.array_equal(found.values, values[:480].T)
        assert database.settle()
    assert database.stats().blocks == 10


def test_blocks_in_which_there_is_none_of_the_series_are_not_decoded(opened: Open) -> None:
    count = 5_000
    where = SeriesIndex(CPU, CPU.name, ("server",), tuple((f"s{i}",) for i in range(count)))
    values = np.round(np.random.default_rng(7).uniform(0, 100, (481, count)), 1)
    database = opened("memory:", limits=Limits(cache_bytes=1 << 30))
    for tick, row in enumerate(values):
        database.append(Snapshot(START_MS + tick * STEP_MS, (Column(where, row),)))
    assert database.settle()
    before = database.stats()
    assert before.blocks == 10
    only = (*named(CPU.name), Matcher(MatchType.EQUAL, "server", "s4321"))
    for _ in range(2):
        (found,) = database.select(only, START_MS, START_MS + 479 * STEP_MS)
        assert found.labels == [where.labels(4321)]
        assert np.array_equal(found.values[0], values[:480, 4321])
        after = database.stats()
        assert after.cache_bytes - before.cache_bytes < 480 * 1_100 * 8 < 480 * count * 8 / 4
