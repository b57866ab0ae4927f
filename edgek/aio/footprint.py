"""Memory that is not needed goes back to the system: after a burst, once nothing more happens.

glibc keeps what was freed: a burst of pods leaves an agent some megabytes of it, hundreds of
streams leave a server more. Whatever ends such work arms a timer; while nothing happens there is
none. Two in one process, the server's and that of the agent beside it, do no harm: what the first
gave back the second does not find.
"""

import asyncio
import contextlib
import gc
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL

SETTLED_SECONDS = 10.0
_ARENAS, _M_ARENA_MAX = 2, -8
_YOUNG = 1
"""The generations that are small whatever a process holds."""


def few_arenas() -> None:
    """Before there are threads: else each has an arena of its own, which only it fills."""
    with contextlib.suppress(AttributeError):
        _libc().mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    with contextlib.suppress(AttributeError):
        _libc().malloc_trim(0)


class Footprint:
    """``whole``: all objects are looked at for cycles, and those there are after the first burst,
    modules most of all, never again. Else only young ones: a process that holds a cluster in
    memory would stand still."""

    def __init__(self, *, whole: bool, trim: Callable[[], None] = trim) -> None:
        self._whole, self._trim = whole, trim
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False

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
        self._collect()
        self._trim()

    def _collect(self) -> None:
        if not self._whole:
            gc.collect(_YOUNG)
            return
        gc.collect()
        if not self._frozen:
            gc.freeze()
            self._frozen = True


@cache
def _libc() -> "CDLL":
    """This process; another libc than glibc has neither of the two."""
    import ctypes  # late: a server that nobody dials needs none of it

    return ctypes.CDLL(None)
