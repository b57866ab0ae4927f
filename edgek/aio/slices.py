"""Long computations in the event loop, in slices: others get their turn between two steps.

A thread would share the interpreter anyway, and what is computed here looks at objects that belong
to the loop.
"""

import asyncio
import time
from collections.abc import Iterable

SLICE = 0.01
"""Seconds that one computation may hold the loop, if its steps are short."""


class Pace:
    """``await pace.rest()`` between steps; it costs next to nothing while the slice lasts."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + SLICE

    async def rest(self) -> None:
        if time.monotonic() < self._until:
            return
        await asyncio.sleep(0)
        self._until = time.monotonic() + SLICE


async def in_slices(steps: Iterable[object]) -> None:
    """To the end of ``steps``, which computes as it is iterated."""
    pace = Pace()
    for _ in steps:
        await pace.rest()
