from __future__ import annotations

import io

import pytest

from exporter.transfer.instants import instant_ms
from exporter.transfer.progress import Progress


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_terminal_is_told_at_most_five_times_a_second_and_left_clean() -> None:
    screen, clock = Screen(True), Clock()
    progress = Progress(screen, clock)
    for number in range(4):
        progress.tell("imported", 250_000 * number, 1_000_000)
        clock.s += 0.125
    progress.tell("imported", 7, None)
    progress.end()
    assert screen.getvalue().split("\r") == ["", "imported 0%", "imported 50%", "imported 7  ", "          ", ""]


def test_what_is_no_terminal_is_told_nothing() -> None:
    screen = Screen(False)
    progress = Progress(screen, Clock())
    progress.tell("imported", 1, 2)
    progress.end()
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("0", 0),
        ("1750000000", 1_750_000_000_000),
        ("1750000000.25", 1_750_000_000_250),
        ("2025-06-15T15:06:40Z", 1_750_000_000_000),
        ("2025-06-15T17:06:40.5+02:00", 1_750_000_000_500),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_rfc_3339_or_unix_seconds(text: str, t_ms: int) -> None:
    assert instant_ms(text) == t_ms


@pytest.mark.parametrize("text", ["", "now", "nan", "inf", "-1", "1e30", "2025-06-15", "2025-06-15T15:06:40", "24:00"])
def test_any_other_time_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text!r}: must be "):
        instant_ms(text)
