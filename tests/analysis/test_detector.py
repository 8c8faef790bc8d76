"""One series watched as it comes."""

from __future__ import annotations

import itertools
import math
import random
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.analysis.detector import Detector
from exporter.analysis.tail import EXCEEDED, Tail

STEP_S = 15.0


def scores(values: list[float], step_s: float = STEP_S) -> list[float]:
    detector = Detector()
    return [detector.update(i * step_s, value) for i, value in enumerate(values)]


def noise(count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [40 + rng.gauss(0, 2) for _ in range(count)]


CHANGES: dict[str, tuple[Callable[[int, float], float], int]] = {
    "a spike": (lambda i, value: value + 40 if i < 3 else value, 1),
    "a shift of the level": (lambda i, value: value + 15, 5),
    "a drop": (lambda i, value: value - 30, 1),
    "a series that stops moving": (lambda i, value: 40.0, 20),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_notices(name: str) -> None:
    change, within = CHANGES[name]
    values = noise(2000)
    changed = [value if i < 1500 else change(i - 1500, value) for i, value in enumerate(values)]
    found = scores(changed)
    assert max(found[:1500]) < 0.5
    assert max(found[1500 : 1500 + within]) >= 0.5


def test_it_lets_a_daily_rhythm_be() -> None:
    rng = random.Random(3)
    day = [50 + 30 * math.sin(i / 96 * 2 * math.pi) + rng.gauss(0, 1) for i in range(96 * 10)]
    assert sum(score >= 0.5 for score in scores(day, 900.0)[96 * 3 :]) == 0


@pytest.mark.parametrize("values", [[30.0] * 500, [1.0, 1.0, 1.0, 1.0, 2.0] * 20 + [1.0] * 400])
def test_a_series_that_hardly_ever_moves_may_stand_still(values: list[float]) -> None:
    assert max(scores(values)) < 0.5


def test_one_event_is_one_report() -> None:
    values = noise(2000)
    values[1500] += 40
    values[1504] += 30
    odd = [score >= 0.5 for score in scores(values)]
    assert sum(now and not before for before, now in itertools.pairwise(odd)) == 1


def test_ordinary_noise_is_hardly_ever_surely_odd() -> None:
    beginnings = 0
    for seed in range(5):
        odd = [score >= 0.9 for score in scores(noise(5760, seed))]
        beginnings += sum(now and not before for before, now in itertools.pairwise(odd))
    assert beginnings <= 5


def test_what_comes_later_changes_no_score() -> None:
    values = noise(500)
    assert scores(values)[:400] == scores([*values[:400], *[1e9] * 100])[:400]


@given(st.lists(st.floats(), max_size=200))
@settings(max_examples=50)
def test_a_score_is_between_0_and_1_whatever_comes(values: list[float]) -> None:
    assert all(0 <= score <= 1 for score in scores(values))


def test_the_first_samples_are_never_odd() -> None:
    rng = random.Random(5)
    assert max(scores([rng.expovariate(0.01) for _ in range(49)])) == 0


def test_the_expected_range_holds_what_is_ordinary() -> None:
    detector = Detector()
    inside = 0
    for i, value in enumerate(noise(1000)):
        detector.update(i * STEP_S, value)
        low, high = detector.expected
        inside += low <= value <= high
    assert inside >= 950


def test_a_tail_has_learnt_how_often_its_threshold_is_passed() -> None:
    rng = random.Random(7)
    tail = Tail()
    for _ in range(20_000):
        tail.take(rng.expovariate(1.0))
    exceeded = [tail.surprise(rng.expovariate(1.0)) > 0 for _ in range(5000)]
    assert abs(sum(exceeded) / 5000 - EXCEEDED) < 0.01
    assert tail.surprise(8.0) < tail.surprise(12.0) < tail.surprise(20.0)
    assert 3 < tail.surprise(9.2) < 6  # truly 4


def test_a_tail_knows_the_value_of_a_surprise() -> None:
    rng = random.Random(8)
    tail = Tail()
    for _ in range(5000):
        tail.take(rng.expovariate(1.0))
    for surprise in (2.0, 3.0, 5.0):
        assert tail.surprise(tail.reach(surprise)) == pytest.approx(surprise)


def test_what_has_never_happened_in_a_thousand_samples_is_odd_when_it_does() -> None:
    found = scores([0.0] * 3000 + [1.0])
    assert max(found[:-1]) == 0
    assert found[-1] >= 0.5


def test_the_scale_and_the_offset_of_a_series_do_not_matter() -> None:
    values = noise(1500)
    values[1200] += 30
    known = scores(values)
    for scale, offset in ((1e-6, 0.0), (1e9, 0.0), (2.0**20, 2.0**30)):
        assert scores([value * scale + offset for value in values]) == pytest.approx(known, abs=0.02)


@pytest.mark.parametrize("step_s", [1.0, 15.0, 300.0, 3600.0])
def test_any_interval_will_do(step_s: float) -> None:
    values = noise(2000)
    values[1500] -= 30
    found = scores(values, step_s)
    assert found[1500] >= 0.9
    assert sum(score >= 0.9 for score in found) <= 2


def test_the_same_sample_again_changes_nothing() -> None:
    values = noise(600)
    once, twice = Detector(), Detector()
    for i, value in enumerate(values):
        score = once.update(i * STEP_S, value)
        assert twice.update(i * STEP_S, value) == score == twice.update(i * STEP_S, value)


def test_times_that_go_back_or_are_no_numbers_raise_nothing() -> None:
    detector, values = Detector(), noise(600)
    times = [i * STEP_S for i in range(300)] + [float("nan"), float("inf"), -1e18] + [i * STEP_S for i in range(297)]
    assert all(0 <= detector.update(t_s, value) < 0.99 for t_s, value in zip(times, values, strict=True))


def test_after_a_pause_another_level_is_no_fall() -> None:
    rng, detector = random.Random(4), Detector()
    day = [50 + 20 * math.sin(i / 960 * math.pi) + rng.gauss(0, 1) for i in range(5760)]
    times = [i * STEP_S for i in range(5760)]
    scored = [detector.update(t, value) for i, (t, value) in enumerate(zip(times, day, strict=True)) if i % 1920 < 1440]
    assert max(scored[1920:]) < 0.97


def test_memory_does_not_grow_with_the_series() -> None:
    detector = Detector()

    def bytes_now() -> int:
        return sum(
            sys.getsizeof(getattr(detector, name)) for name in Detector.__slots__ if name not in ("_season", "_count")
        )

    for i, value in enumerate(noise(3000)):
        detector.update(i * STEP_S, value)
        if i == 100:
            early = bytes_now()
    assert bytes_now() <= early + 64


def test_a_sample_takes_microseconds() -> None:
    detector, values = Detector(), noise(20_000)
    started = time.process_time()
    for i, value in enumerate(values):
        detector.update(i * STEP_S, value)
    assert (time.process_time() - started) / len(values) < 60e-6  # 15 on an idle machine is the goal
