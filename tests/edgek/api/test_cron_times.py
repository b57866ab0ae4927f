"""The next moment of a schedule, as robfig/cron finds it, also where clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgek.api.cron import parse_schedule
from edgek.api.cron_times import latest_time, next_time

VIENNA, NEW_YORK, SAO_PAULO, LORD_HOWE = map(
    ZoneInfo, ("Europe/Vienna", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe")
)


def after(text: str, moment: str, zone=UTC, count: int = 1) -> list[str]:
    """The next ``count`` moments as the zone's clock shows them, with its offset."""
    out, at = [], datetime.fromisoformat(moment).replace(tzinfo=zone)
    for _ in range(count):
        found = next_time(parse_schedule(text), at, zone)
        if found is None:
            return [*out, "never"]
        assert found > at
        at = found
        out.append(at.astimezone(zone).strftime("%Y-%m-%d %H:%M %z").removesuffix(" +0000"))
    return out


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("0/15 * * * *", "2012-07-09 14:45", "2012-07-09 15:00"),
        ("0/15 * * * *", "2012-07-09 14:59:59", "2012-07-09 15:00"),
        ("20-35/15 * * * *", "2012-07-09 15:45", "2012-07-09 16:20"),
        ("*/15 * * * *", "2012-12-31 23:59:45", "2013-01-01 00:00"),
        ("20 10-16/2 * * *", "2012-07-09 16:20", "2012-07-10 10:20"),
        ("0 0 9 Apr-Oct *", "2012-07-09 23:35", "2012-08-09 00:00"),
        ("0 0 */5 Apr,Aug,Oct Mon", "2012-07-09 23:35", "2012-08-01 00:00"),
        ("0 0 * Feb Mon", "2012-07-09 23:35", "2013-02-04 00:00"),
        ("0 0 * Feb Mon/2", "2012-07-09 23:35", "2013-02-01 00:00"),
        ("0 0 29 Feb *", "2012-07-09 23:35", "2016-02-29 00:00"),
        ("0 0 13 * 5", "2026-01-03 00:00", "2026-01-09 00:00"),
        ("0 0 13 * *", "2026-01-03 00:00", "2026-01-13 00:00"),
        ("@weekly", "2026-01-03 00:00", "2026-01-04 00:00"),
        ("0 0 31 2 *", "2026-01-03 00:00", "never"),
        ("0 0 29 2 *", "2096-03-01 00:00", "never"),
        (", * * * *", "2026-01-03 00:00", "never"),
        ("@every 90m", "2026-01-03 00:10", "2026-01-03 01:40"),
    ],
)
def test_the_next_moment_is_found(text: str, moment: str, expected: str) -> None:
    assert after(text, moment) == [expected]


def test_a_time_that_the_clock_skips_does_not_come_that_day() -> None:
    """As robfig does, and Debian's cron does not."""
    assert after("30 2 * * *", "2026-03-28 12:00", VIENNA) == ["2026-03-30 02:30 +0200"]
    assert after("0 * * * *", "2012-03-11 01:00", NEW_YORK) == ["2012-03-11 03:00 -0400"]
    assert after("0 0 * * *", "2018-11-03 12:00", SAO_PAULO) == ["2018-11-05 00:00 -0200"]


def test_a_time_that_the_clock_shows_twice_comes_twice() -> None:
    assert after("30 2 * * *", "2026-10-25 00:00", VIENNA, 3) == [
        "2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100", "2026-10-26 02:30 +0100",
    ]  # fmt: skip


def test_clocks_that_change_by_half_an_hour_lose_nothing() -> None:
    assert after("45 1 * * *", "2026-04-04 12:00", LORD_HOWE, 2) == [
        "2026-04-05 01:45 +1100", "2026-04-05 01:45 +1030",
    ]  # fmt: skip
    assert after("0,45 2 4 10 *", "2026-10-03 12:00", LORD_HOWE) == ["2026-10-04 02:45 +1100"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["*/7 * * * *", "* 3 * * *", "15 2 * * 0", "0 0 1 * *", "@every 7m",
                     "* * * 1 *", "30 6-16/4 * * 1-5"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 1, 1)),
    st.integers(0, 60 * 24 * 4),
    st.sampled_from([UTC, VIENNA]),
)  # fmt: skip
def test_the_latest_moment_is_the_last_one_that_walking_finds(
    text: str, start: datetime, minutes: int, zone
) -> None:
    schedule, start = parse_schedule(text), start.replace(tzinfo=UTC)
    until = start + timedelta(minutes=minutes, seconds=20)
    walked, at = None, next_time(schedule, start, zone)
    while at is not None and at <= until:
        walked, at = at, next_time(schedule, at, zone)
    assert latest_time(schedule, start, until, zone) == walked
