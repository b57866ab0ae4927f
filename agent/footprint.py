"""Memory that is not needed goes back to the system: once after the start, and after each burst.

glibc keeps what was freed, and a burst of pods leaves some megabytes of it. There is no timer
while nothing happens: whatever changes a pod arms one, and the end of a stream.
"""

import asyncio
import contextlib
import ctypes
import gc

SETTLED_SECONDS = 10.0
_ARENAS, _M_ARENA_MAX = 2, -8


class Footprint:
    def __init__(self) -> None:
        self._libc = _libc()
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False

    def few_arenas(self) -> None:
        """Before there are threads: else each has an arena of its own, which only it fills."""
        with contextlib.suppress(AttributeError):
            self._libc.mallopt(_M_ARENA_MAX, _ARENAS)

    def changed(self) -> None:
        """Something was done; when nothing more is for a while, memory is given back."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(SETTLED_SECONDS, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last + SETTLED_SECONDS
        if loop.time() < due:
            self._timer = loop.call_at(due, self._look)
            return
        self._timer = None
        self._give_back()

    def _give_back(self) -> None:
        gc.collect()
        if not self._frozen:  # modules and first objects live for ever: looked at only once
            gc.freeze()
            self._frozen = True
        with contextlib.suppress(AttributeError):
            self._libc.malloc_trim(0)


def _libc() -> ctypes.CDLL:
    """This process; another libc than glibc has neither of the two."""
    return ctypes.CDLL(None)
