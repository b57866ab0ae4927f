"""Inotify: the kernel says when a file grows or is replaced; nothing polls."""

import asyncio
import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_OVERFLOW = 0x4000
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_HEAD = struct.Struct("iIII")


class Inotify:
    """One descriptor, many paths. ``on_event(path, name)`` is called in the event loop, or in a
    thread of the name given, which waits for nothing that the loop does; ``name`` is the entry
    within a watched directory, "" for a watched file. ``overflow`` is called when there was more
    than the kernel keeps for us, and events are lost."""

    def __init__(
        self, on_event: Callable[[str, str], None], *, thread: str = "",
        overflow: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._on_event, self._overflow = on_event, overflow
        self._paths: dict[int, str] = {}
        self._fd = self._libc.inotify_init1(_NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._stop = os.eventfd(0, os.EFD_CLOEXEC) if thread else -1
        if thread:
            threading.Thread(target=self._follow, name=thread, daemon=True).start()
        else:
            asyncio.get_running_loop().add_reader(self._fd, self._read)

    def add(self, path: str, mask: int) -> None:
        """Raises OSError, FileNotFoundError among them."""
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        self._paths[watch] = path

    def remove(self, path: str) -> None:
        for watch in [w for w, p in self._paths.items() if p == path]:
            del self._paths[watch]
            self._libc.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        if self._stop >= 0:
            os.eventfd_write(self._stop, 1)  # the thread closes what it reads
            self._stop = -1
        elif self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _follow(self) -> None:
        fd, stop = self._fd, self._stop
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(stop, select.POLLIN)
        while all(ready != stop for ready, _ in poll.poll()):
            self._read()
        os.close(fd)
        os.close(stop)

    def _read(self) -> None:
        data = os.read(self._fd, 65536)
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, offset)
            offset += _HEAD.size
            name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
            offset += length
            if mask & _OVERFLOW:
                self._overflow()
            elif (path := self._paths.get(watch)) is not None:
                self._on_event(path, name)
