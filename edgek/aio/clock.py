"""Where time comes from: inject a Clock, never call ``time.time()`` in logic.

Loop time (``asyncio.sleep``, timeouts) is virtualised in tests by looptime; wall-clock
timestamps come from here, so that both can be steered together.
"""

import asyncio
import contextlib
import os
import time
from datetime import UTC, datetime, tzinfo
from typing import Protocol

LONGEST_SLEEP = 86400.0
"""Of who waits for a moment and cannot be told when the clock is set."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The current wall time, timezone-aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; differences are what counts."""

    async def sleep(self, seconds: float) -> None:
        """Waits that long in this clock's time."""

    async def sleep_until(self, moment: datetime) -> None:
        """Waits for that time, or until somebody sets the clock: who waits looks again."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: datetime) -> None:
        from edgek.aio.moments import wait_for_moment

        try:
            await wait_for_moment(moment)
        except OSError:  # a sandbox whose kernel has no such timers
            left = (moment - self.now()).total_seconds()
            await asyncio.sleep(min(max(left, 0.0), LONGEST_SLEEP))


class FakeClock:
    """Follows the running loop's time (virtual under looptime) from a fixed start."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._offset = 0.0
        self._loop_start: float | None = None
        self._set = asyncio.Event()

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
        self._set.set()
        self._set = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: datetime) -> None:
        left = (moment - self.now()).total_seconds()
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._set.wait()


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
