"""Times are written as Go writes them, and read in any RFC 3339 form with a zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from edgek.api.time import format_micro_time, format_time, parse_time

EARLY = datetime(1, 1, 1, tzinfo=UTC)
MOMENT = datetime(2026, 1, 2, 4, 4, 5, 6789, tzinfo=timezone(timedelta(hours=1)))


def test_times_are_utc_with_whole_seconds_and_four_digits_of_year() -> None:
    assert format_time(MOMENT) == "2026-01-02T03:04:05Z"
    assert format_time(EARLY) == "0001-01-01T00:00:00Z"


def test_micro_times_always_have_six_digits() -> None:
    assert format_micro_time(MOMENT) == "2026-01-02T03:04:05.006789Z"
    assert format_micro_time(EARLY) == "0001-01-01T00:00:00.000000Z"


def test_what_is_written_is_read_again() -> None:
    assert parse_time(format_micro_time(MOMENT)) == MOMENT


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        parse_time("2026-01-02T03:04:05")
