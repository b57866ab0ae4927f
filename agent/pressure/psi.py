"""The kernel calls when tasks stall for memory: a trigger on /proc/pressure/memory.

It costs nothing while nothing stalls. Kernels without PSI (psi=0, before 4.20) or without the
right to set a trigger have none; the timer alone must do then.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import Callable
from pathlib import Path

TRIGGER = b"some 150000 2000000\0"
"""150 ms of stalls within 2 s, the shortest window that needs no privilege."""


class MemoryStalls:
    """``on_stall`` is called in the event loop, at most once a window."""

    def __init__(
        self, on_stall: Callable[[], None], *, path: Path = Path("/proc/pressure/memory")
    ) -> None:
        self._on_stall = on_stall
        self._fd = self._open(path)
        self._epoll = select.epoll() if self._fd >= 0 else None
        if self._epoll is not None:
            # Asyncio waits for input only; a trigger tells by priority. An epoll of our own in
            # between has input when it has that.
            self._epoll.register(self._fd, select.EPOLLPRI)
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._told)

    @property
    def works(self) -> bool:
        return self._epoll is not None

    def close(self) -> None:
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            os.close(self._fd)
            self._epoll, self._fd = None, -1

    @staticmethod
    def _open(path: Path) -> int:
        fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(fd, TRIGGER)
        except OSError:
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
            return -1
        return fd

    def _told(self) -> None:
        if self._epoll is None:
            return
        events = self._epoll.poll(0)
        if any(event & (select.EPOLLERR | select.EPOLLHUP) for _, event in events):
            self.close()
        elif events:
            self._on_stall()
