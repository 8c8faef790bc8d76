"""Sparse series folded into long blocks: fewer bytes, and not a bit is lost."""

from __future__ import annotations

import numpy as np

from exporter.model import STALE_NAN_BITS, Family, MetricType, SeriesSet, make_labels
from exporter.storage.census import tiers_of
from exporter.storage.database import Database
from exporter.storage.layout import DAY_MS, FOLD, RAW
from exporter.storage.stats import Limits
from tests.storage.conftest import Open
from tests.storage.fleet import EVER, Fleet, everything, samples

EPOCH_MS = 1_700_000_000_000 // FOLD.span_ms * FOLD.span_ms
YEARS = Limits(retentions_ms={RAW: 3650 * DAY_MS})
FAMILY = Family("real", MetricType.GAUGE, "")


def sparse(count: int = 2, days: int = 36, every_ms: int = 300_000) -> list[SeriesSet]:
    """Series of times and values of their own, all kinds of floats among them."""
    random = np.random.default_rng(5)
    found = []
    for number in range(count):
        t_ms = np.arange(EPOCH_MS + number, EPOCH_MS + days * DAY_MS, every_ms) + random.integers(0, 2)
        values = np.round(random.normal(50, 5, len(t_ms)), 3)
        values[:: 500 + number] = [-0.0, np.nan, np.inf, 5e-324, 51.846000000000004][number]
        values[7::900] = np.array([STALE_NAN_BITS], np.uint64).view(np.float64)
        found.append(SeriesSet([make_labels({"__name__": "real", "n": str(number)})], t_ms, values[None, :]))
    return found


def settled(database: Database, now_ms: int) -> None:
    for _ in range(2):
        database.expire(now_ms)
        assert database.settle(120)


def test_sparse_series_are_folded_bit_for_bit_and_stay_so(lasting_url: str, opened: Open) -> None:
    given = sparse()
    database = opened(lasting_url, limits=YEARS)
    database.ingest(given, [FAMILY])
    settled(database, EPOCH_MS + DAY_MS)
    before = tiers_of(database.kept())[0]
    settled(database, EPOCH_MS + 37 * DAY_MS)
    assert samples(database.select([], *EVER)) == samples(given)
    after = tiers_of(database.kept())[0]
    assert (after.tier, after.samples, after.series) == (before.tier, before.samples, before.series)
    assert after.bytes < 0.6 * before.bytes
    assert database.stats().blocks < 4 * 12 * 2 + 10, "of the last four days each series has a block a window"
    database.close()
    again = opened(lasting_url, limits=YEARS)
    assert samples(again.select([], *EVER)) == samples(given)
    start_ms, end_ms = EPOCH_MS + 3 * DAY_MS, EPOCH_MS + 3 * DAY_MS + 300_000
    part = {
        labels: inside
        for labels, said in samples(given).items()
        if (inside := {t: bits for t, bits in said.items() if start_ms <= t <= end_ms})
    }
    assert samples(again.select([], start_ms, end_ms)) == part


def test_what_comes_late_wins_over_what_is_folded_and_is_folded_with_it(opened: Open) -> None:
    given = sparse(1)
    database = opened("memory:", limits=YEARS)
    database.ingest(given, [FAMILY])
    settled(database, EPOCH_MS + 37 * DAY_MS)
    blocks = database.stats().blocks
    for place in (3, 300, 900):  # in two windows
        given[0].values[0, place] = place
        cut = slice(place, place + 1)
        database.ingest([SeriesSet(given[0].labels, given[0].t_ms[cut], given[0].values[:, cut])], [FAMILY])
        settled(database, EPOCH_MS + 37 * DAY_MS)
        assert samples(database.select([], *EVER)) == samples(given)
    assert database.stats().blocks <= blocks + 1


def test_windows_of_many_samples_stay_as_they_are(opened: Open) -> None:
    database = opened("memory:", limits=YEARS)
    fleet = Fleet(t_ms=EPOCH_MS)
    fleet.run(database, 480 * 2)
    fleet.t_ms = EPOCH_MS + 20 * DAY_MS
    fleet.run(database, 1)
    settled(database, fleet.t_ms + DAY_MS)
    assert everything(database) == fleet.said
    assert database.stats().blocks >= 4 * 2


def test_folds_go_with_the_retention(opened: Open) -> None:
    database = opened("memory:", limits=Limits(retentions_ms={RAW: 100 * DAY_MS}))
    database.ingest(sparse(), [FAMILY])
    settled(database, EPOCH_MS + 37 * DAY_MS)
    settled(database, EPOCH_MS + 117 * DAY_MS)
    oldest = min(int(each.t_ms[0]) for each in database.select([], *EVER))
    assert EPOCH_MS + 16 * DAY_MS <= oldest < EPOCH_MS + 17 * DAY_MS
