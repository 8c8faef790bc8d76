"""The slots at which a group is evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.decisions.schedule import Slots, slots
from alerter.rules.rules import Group


@given(st.integers(1, 3_600_000), st.integers(0, 10**9), st.floats(0, 2e9))
def test_the_slot_at_or_before_now_is_less_than_an_interval_ago(interval_ms: int, offset: int, now: float) -> None:
    slot = Slots(interval_ms, offset % interval_ms).at_or_before(now)
    assert -0.001 <= now - slot < interval_ms / 1_000 + 0.002
    assert round(slot * 1_000 - offset) % interval_ms == 0


@pytest.mark.parametrize(
    ("slot", "now", "following", "missed"),
    [(15, 16, 30, 0), (15, 30, 30, 0), (15, 44.9, 30, 0), (15, 45, 45, 1), (15, 100, 90, 4)],
)
def test_slots_that_passed_are_counted_and_only_the_latest_is_run(
    slot: float, now: float, following: float, missed: int
) -> None:
    assert Slots(15_000, 0).after(slot, now) == (following, missed)


@pytest.mark.parametrize(("now", "following"), [(20, 45), (14, 15), (-3_600, -3_585), (31, 45)])
def test_a_clock_that_was_put_back_does_not_stop_evaluation(now: float, following: float) -> None:
    assert Slots(15_000, 0).after(30, now) == (following, 0)


def test_a_groups_offset_is_its_own_and_always_the_same() -> None:
    groups = [Group(f"g{n}", "f.yml", 15.0, ()) for n in range(50)]
    offsets = [slots(group).offset_ms for group in groups]
    assert offsets == [slots(group).offset_ms for group in groups]
    assert len(set(offsets)) > 40
    assert all(0 <= offset < 15_000 for offset in offsets)
