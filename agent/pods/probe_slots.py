"""How many probes run at once, so that a storm of them does not hurt a small machine.

What costs is the start: a command is a process or two. So a probe holds one of a few quick slots
at first and gives it on when it turns out to be slow; slow ones are bounded too, but more
generously, so that one container that hangs does not keep the probes of others waiting. Waiting
for a slot is not part of a probe's own time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Slots:
    def __init__(self, quick: int, *, slow: int, patience: float = 1.0) -> None:
        self._quick = asyncio.Semaphore(quick)
        self._all = asyncio.Semaphore(quick + slow)
        self._patience = patience

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Waits for a slot, then for the work."""
        async with self._all:
            await self._quick.acquire()
            held = [self._quick]
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._patience, _give_on, held)
            try:
                return await work()
            finally:
                timer.cancel()
                _give_on(held)


def _give_on(held: list[asyncio.Semaphore]) -> None:
    if held:
        held.pop().release()
