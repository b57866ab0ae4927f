"""Waiting for moments: with the kernel's own timers, and with a clock that tests set."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from edgek.aio.clock import FakeClock, SystemClock

LONG = timedelta(days=400)


async def test_the_system_clock_waits_for_a_moment_and_not_for_one_that_is_over():
    clock, begun = SystemClock(), time.monotonic()
    await clock.sleep_until(clock.now() - LONG)
    await clock.sleep_until(datetime(1960, 1, 1, tzinfo=UTC))
    assert time.monotonic() - begun < 2
    moment = clock.now() + timedelta(seconds=1)
    await clock.sleep_until(moment)
    assert moment.replace(microsecond=0) <= clock.now() < moment + timedelta(seconds=2)


async def test_who_waits_for_a_day_that_never_comes_can_be_ended():
    waiting = asyncio.create_task(SystemClock().sleep_until(datetime.max.replace(tzinfo=UTC)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.looptime
async def test_who_waits_is_told_when_the_clock_is_set(clock: FakeClock):
    waiting = asyncio.create_task(clock.sleep_until(clock.now() + LONG))
    await asyncio.sleep(1)
    clock.advance(-86400)
    await asyncio.sleep(1)
    assert waiting.done()
