"""Times of the week, month and year, through the days on which clocks are changed."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
import yaml

from alerter.decisions.mute_times import interval


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("{}", ["2026-01-01T00:00:00Z", "2026-07-31T23:59:59Z"], []),
        (
            "times: [{start_time: '09:00', end_time: '17:00'}]",
            ["2026-03-02T09:00:00Z", "2026-03-02T16:59:59Z"],
            ["2026-03-02T08:59:59Z", "2026-03-02T17:00:00Z"],
        ),
        (
            "times: [{start_time: 22:00, end_time: 24:00}, {start_time: 00:00, end_time: '06:30'}]",
            ["2026-03-02T22:00:00Z", "2026-03-02T23:59:59Z", "2026-03-02T00:00:00Z", "2026-03-02T06:29:00Z"],
            ["2026-03-02T21:59:59Z", "2026-03-02T06:30:00Z"],
        ),
        (
            "weekdays: ['monday:friday']",
            ["2026-03-02T00:00:00Z", "2026-03-06T23:59:59Z"],
            ["2026-03-01T12:00:00Z", "2026-03-07T12:00:00Z"],
        ),
        ("weekdays: [Saturday, sunday]", ["2026-03-01T12:00:00Z", "2026-03-07T12:00:00Z"], ["2026-03-02T00:00:00Z"]),
        (
            "days_of_month: [1:5, -3:-1]",
            ["2026-02-01T00:00:00Z", "2026-02-05T00:00:00Z", "2026-02-26T00:00:00Z", "2028-02-29T00:00:00Z"],
            ["2026-02-06T00:00:00Z", "2026-02-25T00:00:00Z", "2028-02-26T00:00:00Z"],
        ),
        ("days_of_month: ['31']", ["2026-01-31T00:00:00Z"], ["2026-02-28T00:00:00Z", "2026-04-30T00:00:00Z"]),
        ("days_of_month: [29:31]", ["2026-03-29T00:00:00Z"], ["2026-02-28T00:00:00Z"]),
        ("days_of_month: ['15:-1']", ["2026-02-28T00:00:00Z", "2026-02-15T00:00:00Z"], ["2026-02-14T00:00:00Z"]),
        ("months: ['january:march', 7]", ["2026-02-10T00:00:00Z", "2026-07-10T00:00:00Z"], ["2026-04-01T00:00:00Z"]),
        ("months: [1:3]", ["2026-03-31T00:00:00Z"], ["2026-04-01T00:00:00Z"]),
        ("years: ['2024:2026', 2030]", ["2026-12-31T23:59:59Z", "2030-01-01T00:00:00Z"], ["2027-01-01T00:00:00Z"]),
        (
            "{weekdays: [monday], times: [{start_time: '09:00', end_time: '10:00'}], location: Asia/Seoul}",
            ["2026-03-02T00:00:00Z", "2026-03-02T00:59:59Z"],
            ["2026-03-02T09:30:00Z", "2026-03-01T23:59:59Z", "2026-03-03T00:30:00Z"],
        ),
        (  # in Berlin the clock goes from 02:00 to 03:00 on 29 March, and from 03:00 to 02:00 on 25 October 2026
            "{times: [{start_time: '01:00', end_time: '03:00'}], location: Europe/Berlin}",
            ["2026-03-29T00:00:00Z", "2026-03-29T00:59:59Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
            ["2026-03-29T01:00:00Z", "2026-03-28T23:59:59Z", "2026-10-25T02:00:00Z"],
        ),
        (
            "{times: [{start_time: '09:00', end_time: '10:00'}], location: America/New_York}",
            ["2026-01-15T14:30:00Z", "2026-07-15T13:30:00Z"],
            ["2026-01-15T13:30:00Z", "2026-07-15T14:30:00Z"],
        ),
    ],
)
def test_an_interval_holds_when_all_of_its_fields_do(written: str, inside: list[str], outside: list[str]) -> None:
    made = interval(**yaml.safe_load(written))
    assert {moment: made.holds(at(moment)) for moment in (*inside, *outside)} == {
        **dict.fromkeys(inside, True),
        **dict.fromkeys(outside, False),
    }


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("times: [{start_time: '17:00', end_time: '09:00'}]", "start_time 17:00 is not before end_time 09:00"),
        ("times: [{start_time: '9:00', end_time: '10:00'}]", "'9:00': not HH:MM"),
        ("times: [{start_time: '09:00'}]", "both start_time and end_time must be given"),
        ("times: [{start_time: '24:01', end_time: '24:02'}]", "'24:01': not HH:MM"),
        ("weekdays: [mon]", "weekday 'mon': not one of sunday, monday"),
        ("weekdays: ['friday:monday']", "weekday 'friday:monday': ends before it starts"),
        ("days_of_month: ['0']", "day of the month '0': not from -31 to 31"),
        ("days_of_month: ['32']", "day of the month '32': not from -31 to 31"),
        ("days_of_month: ['-5:5']", "the end must be negative if the start is"),
        ("days_of_month: ['30:-5']", "ends before it starts"),
        ("days_of_month: ['1:2:3']", "not a range"),
        ("months: ['13']", "month '13': not one of january"),
        ("months: ['december:january']", "ends before it starts"),
        ("years: ['later']", "year 'later'"),
        ("location: Mars/Olympus", "location 'Mars/Olympus': not a known time zone"),
        ("location: ../../etc/passwd", "not a known time zone"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        interval(**yaml.safe_load(written))


def test_yaml_may_write_ranges_without_quotes() -> None:
    written: dict[str, Any] = yaml.safe_load("days_of_month: [1:5]\ntimes: [{start_time: 22:00, end_time: 24:00}]")
    assert written == {"days_of_month": [65], "times": [{"start_time": 1320, "end_time": 1440}]}
    made = interval(**written)
    assert made.holds(at("2026-03-05T22:00:00Z"))
    assert not made.holds(at("2026-03-06T22:00:00Z"))
