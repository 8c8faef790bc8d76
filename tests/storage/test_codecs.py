"""decode(encode(x)) == x, bit for bit, for frames, columns, blocks and segments; and damage is always noticed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from numpy.typing import NDArray

from exporter.model import STALE_NAN_BITS, Family, MetricType, SeriesIndex
from exporter.storage import bits, block, columns, segment
from exporter.storage.block import VALUE, Block
from exporter.storage.decimals import RAW, fewest_decimals, from_ordered, ordered, to_numbers, to_values
from exporter.storage.frame import Damaged, Decoder, Encoder, Run, frames
from tests.storage.fleet import START_MS, STEP_MS

SPECIALS = [
    *(0x0, 0x8000000000000000, 0x1, 0x8000000000000001, 0x000FFFFFFFFFFFFF, 0x0010000000000000),
    *(0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000001),
    *(STALE_NAN_BITS, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x4340000000000000),
]
SAMPLE_BITS = st.one_of(
    st.sampled_from(SPECIALS),
    st.integers(0, 2**64 - 1),
    st.floats(width=64).map(lambda value: int(np.float64(value).view(np.uint64))),
    st.decimals(-10_000, 10_000, places=3).map(lambda value: int(np.float64(value).view(np.uint64))),
    st.integers(-(2**60), 2**60).map(lambda value: int(np.float64(value).view(np.uint64))),
)
RUN = b"12345678"


def _matrices(rows: int = 6, most: int = 40) -> st.SearchStrategy[NDArray[np.uint64]]:
    shape = st.tuples(st.integers(1, rows), st.integers(1, most))
    return shape.flatmap(lambda shape: st_np.arrays(np.uint64, shape, elements=SAMPLE_BITS, fill=st.nothing()))


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, bits.MAX_WIDTH))))
def test_rice_codes_read_back(pairs: list[tuple[int, int]]) -> None:
    values = np.array([value for value, _ in pairs], np.uint64)
    widths = np.array([width for _, width in pairs], np.int64)
    assert np.array_equal(bits.unrice(bits.rice(values, widths), 0, widths), values)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_varints_read_back(value: int, before: bytes) -> None:
    out = bytearray(before)
    bits.append_varint(out, value)
    assert bits.read_varint(bytes(out), len(before)) == (value, len(out))


@given(st_np.arrays(np.int64, st.integers(0, 20)))
def test_zigzag_reads_back(numbers: NDArray[np.int64]) -> None:
    assert np.array_equal(bits.unzigzag(bits.zigzag(numbers)), numbers)


@given(_matrices(1))
def test_every_float_is_a_number_and_back(matrix: NDArray[np.uint64]) -> None:
    values = matrix[0].view(np.float64)
    codes = fewest_decimals(values)
    numbers, exact = to_numbers(values, codes)
    assert exact.all()
    assert np.array_equal(to_values(numbers, codes).view(np.uint64), matrix[0])
    assert np.array_equal(from_ordered(ordered(matrix[0])), matrix[0])


DECIMALS = [(0.0, 0), (3.0, 0), (-1.5, 1), (51.846, 3), (51.846000000000004, RAW), (1e300, RAW), (-0.0, RAW)]


@pytest.mark.parametrize(("value", "code"), DECIMALS)
def test_a_float_is_a_decimal_only_where_that_is_exact(value: float, code: int) -> None:
    assert fewest_decimals(np.array([value]))[0] == code


@st.composite
def _ticks(draw: st.DrawFn) -> list[tuple[int, NDArray[np.uint64], NDArray[np.bool_], bool]]:
    """Ticks of one log: (t_ms, bits, present, whether a baseline). A baseline comes first, and never as series go."""
    matrix = draw(_matrices())
    there = draw(st_np.arrays(np.bool_, matrix.shape, elements=st.booleans()))
    t_ms, ticks = START_MS, []
    for tick in range(matrix.shape[1]):
        went = tick > 0 and bool((there[:, tick - 1] & ~there[:, tick]).any())
        ticks.append(
            (t_ms, matrix[:, tick].copy(), there[:, tick].copy(), not tick or (not went and draw(st.booleans())))
        )
        t_ms += draw(st.sampled_from([STEP_MS, STEP_MS, STEP_MS, 1, 100_000]))
    return ticks


@given(_ticks())
@settings(deadline=None)
def test_frames_read_back_with_a_marker_where_a_series_went(
    ticks: list[tuple[int, NDArray[np.uint64], NDArray[np.bool_], bool]],
) -> None:
    slots = len(ticks[0][1])
    encoder, decoder = Encoder((Run(RUN, 3, slots),), STEP_MS), Decoder()
    log = b"".join(
        (encoder.baseline if opens else encoder.delta)(t_ms, values.view(np.float64), present)
        for t_ms, values, present, opens in ticks
    )
    before = np.zeros(slots, np.bool_)
    for frame, (t_ms, values, present, _) in zip(frames(log), ticks, strict=True):
        assert not isinstance(frame, Damaged)
        assert decoder.feed(frame)
        assert (decoder.t_ms, decoder.runs) == (t_ms, (Run(RUN, 3, slots),))
        went = before & ~present
        assert np.array_equal(decoder.present, present | went)
        said = np.where(went, np.uint64(STALE_NAN_BITS), values)
        assert np.array_equal(decoder.values.view(np.uint64)[decoder.present], said[decoder.present])
        before = present


@given(_matrices(8, 60), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None)
def test_columns_read_back(matrix: NDArray[np.uint64], random: object, walks: bool) -> None:
    values = matrix.view(np.float64)
    if walks:
        with np.errstate(all="ignore"):
            values = np.cumsum(np.round(values % 100, 1), axis=1)
    back = columns.decode(columns.encode(values, None), values.shape)
    assert np.array_equal(back.view(np.uint64), np.ascontiguousarray(values).view(np.uint64))


COUNTS = [*range(500, 800), 1_020, 1_024, 1_025, 1_028, 1_029, 262_143, 262_144, 262_145, 262_149, 300_000]


def test_numbers_of_any_count_and_spread_read_back() -> None:
    random = np.random.default_rng(10)
    for count in COUNTS:
        spread = 10 ** int(random.integers(0, 12))
        numbers = random.integers(-spread, spread, count) // int(random.choice([1, 7, 4096])) * 4096
        if count % 3 == 0:
            numbers = np.where(random.random(count) < 0.01, numbers, 0)
        assert np.array_equal(columns.decompress(columns.compress(numbers), count), numbers)


@given(_matrices(5, 30), st.data())
@settings(deadline=None)
def test_blocks_read_back(matrix: NDArray[np.uint64], data: st.DataObject) -> None:
    slots, instants = matrix.shape
    present = data.draw(st_np.arrays(np.bool_, matrix.shape, elements=st.booleans()))
    gaps = data.draw(st.lists(st.sampled_from([STEP_MS, 7, 10**9]), min_size=instants, max_size=instants))
    t_ms = START_MS + np.cumsum(np.array(gaps, np.int64))
    whole = Block((Run(RUN, 0, 1), Run(RUN, 5, slots - 1)), t_ms, {VALUE: matrix.view(np.float64)}, present)
    back = block.decode(block.encode(whole))
    there = np.ones(present.shape, bool) if back.present is None else back.present
    assert back.runs == whole.runs
    assert np.array_equal(back.t_ms, t_ms)
    assert np.array_equal(there, present)
    assert np.array_equal(back.columns[VALUE].view(np.uint64)[present], matrix[present])


def _log() -> tuple[bytes, list[int]]:
    """Four groups of five frames of two series, and where each frame begins."""
    encoder = Encoder((Run(RUN, 0, 2),), STEP_MS)
    parts = []
    for tick in range(20):
        values, present = np.array([tick * 1.5, tick * 7.0]), np.ones(2, bool)
        write = encoder.delta if tick % 5 else encoder.baseline
        parts.append(write(START_MS + tick * STEP_MS, values, present))
    return b"".join(parts), np.cumsum([0, *map(len, parts)]).tolist()


def _ticks_of(data: bytes) -> tuple[set[int], int]:
    """The ticks that damaged bytes still tell, checked against what was written, and how many gaps were noticed."""
    decoder, found, gaps = Decoder(), set(), 0
    for frame in frames(data):
        if isinstance(frame, Damaged):
            gaps += 1
            continue
        if decoder.feed(frame):
            tick = (decoder.t_ms - START_MS) // STEP_MS
            assert decoder.values.tolist() == [tick * 1.5, tick * 7.0]
            found.add(tick)
    return found, gaps


@given(st.data())
def test_a_damaged_frame_takes_no_more_than_the_rest_of_its_group(data: st.DataObject) -> None:
    log, starts = _log()
    at = data.draw(st.integers(0, len(log) - 1))
    flipped = bytearray(log)
    flipped[at] ^= data.draw(st.integers(1, 255))
    hit = int(np.searchsorted(starts, at, "right")) - 1
    lost = set(range(hit, hit - hit % 5 + 5))
    assert _ticks_of(bytes(flipped)) == (set(range(20)) - lost, 1)


@given(st.integers(0, 400))
def test_a_cut_log_keeps_every_whole_frame(size: int) -> None:
    log, starts = _log()
    size = min(size, len(log))
    whole = sum(start <= size for start in starts[1:])
    assert _ticks_of(log[:size]) == (set(range(whole)), int(size not in starts))


@given(st.binary(max_size=200))
def test_garbage_is_damage_and_nothing_else(data: bytes) -> None:
    for frame in frames(data):
        assert isinstance(frame, Damaged)
    with pytest.raises(Damaged):
        block.decode(data)
    with pytest.raises(Damaged):
        segment.decode(RUN, data)


@given(st.data())
def test_a_block_with_any_byte_changed_or_missing_is_refused(data: st.DataObject) -> None:
    values = np.arange(40.0).reshape(2, 20) ** 2
    whole = block.encode(Block((Run(RUN, 0, 2),), START_MS + np.arange(20), {VALUE: values}, None))
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), whole[:at]):
        with pytest.raises(Damaged):
            block.decode(damaged)


LABELS = st.text(st.characters(codec="utf-8"), max_size=6)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=5), LABELS)
def test_segments_read_back_under_the_digest_of_their_content(rows: list[tuple[str, str]], text: str) -> None:
    family = Family("some_total", MetricType.COUNTER, text)
    index = SeriesIndex(family, "some_total", ("a", "b"), tuple(rows))
    made, data = segment.encode(index)
    back = segment.decode(made.digest, data)
    assert back.index.family == family
    assert back.index.rows == index.rows
    assert segment.encode(SeriesIndex(family, "some_total", ("a", "b"), tuple(rows)))[0].digest == made.digest
    with pytest.raises(Damaged):
        segment.decode(b"87654321", data)


def test_segments_without_labels_keep_their_count() -> None:
    made, data = segment.encode(SeriesIndex(Family("x", MetricType.GAUGE, ""), "x", (), ((),)))
    assert segment.decode(made.digest, data).index.rows == ((),)


def test_a_histogram_s_buckets_cost_little_more_than_what_tells_them_apart() -> None:
    random = np.random.default_rng(11)
    buckets = np.cumsum(random.poisson(3.0, (12, 480)), axis=1).astype(float)
    cumulative = np.cumsum(buckets, axis=0)
    apart, together = columns.encode(buckets, None), columns.encode(cumulative, None)
    assert np.array_equal(columns.decode(together, cumulative.shape), cumulative)
    assert len(together) < 1.1 * len(apart)


def test_sums_of_decimals_cost_little_more_than_the_decimals() -> None:
    random = np.random.default_rng(13)
    exact = np.round(random.normal(50, 5, (10, 480)), 3)
    sums = exact * 3 / 3 + 0.1 - 0.1
    assert (sums != exact).mean() > 0.2
    plain, missed = columns.encode(exact, None), columns.encode(sums, None)
    assert np.array_equal(columns.decode(missed, sums.shape), sums)
    assert len(missed) < len(plain) + 0.3 * sums.size


def test_a_long_chain_of_slots_that_refer_to_each_other_reads_back() -> None:
    random = np.random.default_rng(12)
    values = np.cumsum(random.poisson(2.0, (400, 50)), axis=0).astype(float) + np.cumsum(random.poisson(900.0, 50))
    assert np.array_equal(columns.decode(columns.encode(values, None), values.shape), values)


def test_real_series_take_less_than_two_bytes_a_sample(shared: Path) -> None:
    series = []
    for path in sorted((shared / "data" / "real-series").glob("*.csv")):
        with path.open() as lines:
            series.append([float(row[1]) for row in list(csv.reader(lines))[1:]][:1200])
    values = np.array(series)
    data = columns.encode(values, None)
    assert np.array_equal(columns.decode(data, values.shape).view(np.uint64), values.view(np.uint64))
    assert len(data) / values.size < 2.0
