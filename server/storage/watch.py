"""One watcher of a section: a bounded queue that the writer never waits for."""

import asyncio
from collections.abc import Callable

from server.storage.store import Change

QUEUE = 4096
"""Changes a watcher may lag behind before it is closed; it resumes from history."""


class SectionWatcher:
    """Filled by Section as commits become visible, drained by one reader.

    Invariant: once overflown nothing more is queued, so a reader never sees a gap.
    """

    def __init__(
        self, *, namespace: str, revision: int, on_close: Callable[["SectionWatcher"], None]
    ) -> None:
        self.revision = revision
        self.overflown = False
        self.bookmark_due = False
        self._namespace = namespace
        self._queue: list[Change] = []
        self._wake: asyncio.Future[None] | None = None
        self._on_close = on_close
        self._closed = False

    def push(self, change: Change) -> None:
        if self._closed or (self._namespace and change.new.namespace != self._namespace):
            return
        if len(self._queue) >= QUEUE:
            self.overflown = True
            self._on_close(self)
        else:
            self._queue.append(change)
        self._notify()

    def push_bookmark(self, revision: int) -> None:
        """Nothing else waits: say how far we are."""
        if not self._queue and revision > self.revision:
            self.revision = revision
            self.bookmark_due = True
            self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def next(self) -> list[Change]:
        """[] for a due bookmark (``bookmark_due``) or the end (closed, overflown)."""
        while not (self._queue or self.bookmark_due or self.overflown or self._closed):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        self.bookmark_due = False
        batch, self._queue = self._queue, []
        if batch:
            self.revision = batch[-1].new.revision
        return batch

    @property
    def ended(self) -> bool:
        return self._closed or (self.overflown and not self._queue)

    def close(self) -> None:
        """Idempotent; wakes a reader, which then gets []."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._notify()
