"""One series watched as it comes."""

from __future__ import annotations

import itertools
import math
import random
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


def test_ordinary_noise_raises_hardly_anything() -> None:
    beginnings = 0
    for seed in range(5):
        odd = [score >= 0.5 for score in scores(noise(5760, seed))]
        beginnings += sum(now and not before for before, now in itertools.pairwise(odd))
    assert beginnings <= 3


def test_what_comes_later_changes_no_score() -> None:
    values = noise(500)
    assert scores(values)[:400] == scores([*values[:400], *[1e9] * 100])[:400]


@given(st.lists(st.floats(), max_size=200))
@settings(max_examples=50)
def test_a_score_is_between_0_and_1_whatever_comes(values: list[float]) -> None:
    assert all(0 <= score <= 1 for score in scores(values))


def test_the_first_samples_are_never_odd() -> None:
    rng = random.Random(5)
    assert max(scores([rng.expovariate(0.01) for _ in range(60)])) == 0


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
        tail.learn(rng.expovariate(1.0))
    exceeded = [tail.probability(value) for value in (rng.expovariate(1.0) for _ in range(5000))]
    assert abs(sum(p < 1 for p in exceeded) / 5000 - EXCEEDED) < 0.01
    assert tail.probability(8.0) > tail.probability(12.0) > tail.probability(20.0)
    assert 1e-6 < tail.probability(9.2) < 1e-3  # truly 1e-4
