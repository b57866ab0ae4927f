"""Schedules are read as robfig/cron reads them, and refused in its words."""

import re
from datetime import timedelta

import pytest

from edgek.api.cron import DESCRIPTORS, MAX_LENGTH, duration_seconds, parse_schedule


def test_five_fields_are_sets_of_values() -> None:
    found = parse_schedule("*/20 8-10,18 1,15 JAN-mar/2 mon-FRI")
    assert found.minutes == {0, 20, 40}
    assert found.hours == {8, 9, 10, 18}
    assert found.days == {1, 15}
    assert found.months == {1, 3}
    assert found.weekdays == {1, 2, 3, 4, 5}
    assert (found.any_day, found.any_weekday) == (False, False)


def test_a_star_is_known_from_all_values() -> None:
    """Days and weekdays are both asked only where one of them is a star."""
    assert parse_schedule("0 0 * * 1").any_day
    assert parse_schedule("0 0 ? * 1").any_day
    assert not parse_schedule("0 0 1-31 * 1").any_day
    assert not parse_schedule("0 0 */2 * 1").any_day


def test_a_step_from_one_value_goes_to_the_end() -> None:
    assert parse_schedule("50/5 0 1 1 *").minutes == {50, 55}


@pytest.mark.parametrize("text", sorted(DESCRIPTORS))
def test_descriptors_are_schedules(text: str) -> None:
    assert parse_schedule(text) == parse_schedule(DESCRIPTORS[text])


def test_every_is_a_whole_number_of_seconds_and_one_at_least() -> None:
    assert parse_schedule("@every 1h30m").every == timedelta(minutes=90)
    assert parse_schedule("@every 1.9s").every == timedelta(seconds=1)
    assert parse_schedule("@every 5ms").every == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty spec string"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("٣ * * * *", 'failed to parse int from ٣: strconv.Atoi: parsing "٣": invalid syntax'),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("@never", "unrecognized descriptor: @never"),
        ("@every x", 'failed to parse duration @every x: time: invalid duration "x"'),
        ("1," * MAX_LENGTH, "spec string is longer than 1024 characters"),
    ],
)
def test_what_is_no_schedule(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m3s", 3723), ("-1m", -60), ("+.5s", 0.5), ("0", 0), ("1", None), ("", None),
     ("1m x", None), ("--1s", None), ("9" * 400 + "h", None)],
)  # fmt: skip
def test_durations_are_gos(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds
