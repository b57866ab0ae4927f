"""Waiting for a moment of the wall clock, which others may set while we wait.

A sleep counts seconds, and a board without a clock battery is years behind until NTP answers: a
certificate's renewal would come a month after its end. The kernel's timers know better: they end
at the moment, also when the clock is set past it, and tell at once of any setting.
"""

import asyncio
import ctypes
import os
from datetime import UTC, datetime

_REALTIME = 0
_ABSOLUTE, _CANCEL_ON_SET = 1, 2
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_LATEST = datetime(2200 if ctypes.sizeof(ctypes.c_long) > 4 else 2037, 12, 31, tzinfo=UTC)
"""What the kernel can count to; who waits for later looks again then."""


class _Spec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("interval", "interval_ns", "seconds", "nanoseconds")
    )


async def wait_for_moment(moment: datetime) -> None:
    """Returns at that moment, or sooner, when the clock was set. Raises OSError where the kernel
    has no such timers."""
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    descriptor = _armed(min(moment, _LATEST))
    try:
        loop.add_reader(descriptor, _end, due)
        try:
            await due
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def _end(due: "asyncio.Future[None]") -> None:
    if not due.done():
        due.set_result(None)


def _armed(moment: datetime) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.timerfd_create(_REALTIME, _FLAGS)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    # Of no time at all the timer would be off.
    spec = _Spec(0, 0, max(int(moment.timestamp()), 0), 1)
    flags = _ABSOLUTE | _CANCEL_ON_SET
    if libc.timerfd_settime(descriptor, flags, ctypes.byref(spec), None) < 0:
        number = ctypes.get_errno()
        os.close(descriptor)
        raise OSError(number, "timerfd_settime")
    return descriptor
