"""LogWatch: tells those who follow logs that there is more to read.

One descriptor for all of them, and none while nobody follows: the kernel gives a user 128 (the
default of fs.inotify.max_user_instances), which root's other programs need too.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.runtime.inotify import MODIFY, MOVED_TO, Inotify


class LogWatch:
    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._followers: dict[str, list[tuple[str, asyncio.Event]]] = {}
        """Directory -> the names in it that are followed."""

    @contextmanager
    def follow(self, path: Path) -> Iterator[asyncio.Event]:
        """An event that is set when the file has grown, or another has taken its place. Raises
        OSError."""
        changed, directory = asyncio.Event(), str(path.parent)
        mine = (path.name, changed)
        self._add(directory)
        self._followers.setdefault(directory, []).append(mine)
        try:
            yield changed
        finally:
            self._followers[directory].remove(mine)
            self._leave(directory)

    def _add(self, directory: str) -> None:
        if directory in self._followers:
            return
        if self._inotify is None:
            self._inotify = Inotify(self._told, overflow=self._all_told)
        try:
            self._inotify.add(directory, MODIFY | MOVED_TO)
        except OSError:
            self._close_unused()
            raise

    def _leave(self, directory: str) -> None:
        if self._followers[directory]:
            return
        del self._followers[directory]
        if self._inotify is not None:
            self._inotify.remove(directory)
        self._close_unused()

    def _close_unused(self) -> None:
        if not self._followers and self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _told(self, directory: str, name: str) -> None:
        for followed, changed in self._followers.get(directory, ()):
            if name in ("", followed):
                changed.set()

    def _all_told(self) -> None:
        for followers in self._followers.values():
            for _, changed in followers:
                changed.set()
