"""Where time comes from: inject a Clock, never call ``time.time()`` in logic.

Loop time (``asyncio.sleep``, timeouts) is virtualised in tests by looptime; wall-clock
timestamps come from here, so that both can be steered together.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The current wall time, timezone-aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; differences are what counts."""

    async def sleep(self, seconds: float) -> None:
        """Waits that long in this clock's time."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """Follows the running loop's time (virtual under looptime) from a fixed start."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._offset = 0.0
        self._loop_start: float | None = None

    def _elapsed(self) -> float:
        try:
            moment = asyncio.get_running_loop().time()
        except RuntimeError:
            return self._offset
        if self._loop_start is None:  # a loop's time may begin anywhere
            self._loop_start = moment
        return moment - self._loop_start + self._offset

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self._elapsed(), UTC)

    def monotonic(self) -> float:
        return self._elapsed()

    def advance(self, seconds: float) -> None:
        """Moves this clock alone; the loop's timers stay where they are."""
        self._offset += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def local_zone() -> tzinfo:
    """This machine's time zone: of ``TZ``, else of /etc/localtime, else UTC."""
    from zoneinfo import ZoneInfo

    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file, key="Local")
    except (ValueError, OSError, LookupError):
        return UTC
