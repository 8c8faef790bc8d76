"""A clock that runs faster than the real one until it has caught up."""

from __future__ import annotations

from exporter.clock import Clock


class Real:
    """A clock that is moved by hand, and by sleeping."""

    def __init__(self) -> None:
        self.t = 1_000_000.0

    def __call__(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        self.t += seconds


def test_it_is_the_real_clock_unless_it_is_a_fast_one_that_begins_in_the_past() -> None:
    real = Real()
    for clock, start in ((Clock(real), 0.0), (Clock(real, 60.0), real.t + 5.0), (Clock(real, 60.0), real.t)):
        clock.begin(start)
        assert clock.now() == real.t and not clock.behind


def test_it_is_not_behind_a_real_clock_that_moves_while_it_looks() -> None:
    readings = iter(range(1_000_000, 2_000_000))
    clock = Clock(lambda: float(next(readings)))
    assert not clock.behind
    assert clock.now() < clock.now()


async def test_it_catches_up_and_goes_on_with_the_real_one_without_a_step() -> None:
    real = Real()
    clock = Clock(real, 60.0, real.sleep)
    clock.begin(real.t - 3600.0)
    assert clock.now() == real.t - 3600.0
    await clock.sleep(15.0)
    assert real.t == 1_000_000.25 and clock.now() == 1_000_000.0 - 3600.0 + 15.0
    before = clock.now()
    for _ in range(1000):
        real.t += 0.1
        now = clock.now()
        assert before <= now <= real.t and now - before <= 6.001
        before = now
    assert clock.now() == real.t and not clock.behind
    await clock.sleep(15.0)
    assert round(real.t, 6) == 1_000_115.25
