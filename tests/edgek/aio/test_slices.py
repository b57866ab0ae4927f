"""Long computations let others have their turn."""

import asyncio
import time
from collections.abc import Iterator

from edgek.aio.slices import SLICE, in_slices


async def _count(turns: list[float]) -> None:
    while True:
        turns.append(time.monotonic())
        await asyncio.sleep(0)


def _busy(seconds: float) -> Iterator[None]:
    """Steps that take this long together."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


async def test_a_long_computation_rests_about_once_in_each_slice() -> None:
    turns: list[float] = []
    counting = asyncio.ensure_future(_count(turns))
    await asyncio.sleep(0)
    await in_slices(_busy(10 * SLICE))
    counting.cancel()
    assert 2 <= len(turns) <= 12
