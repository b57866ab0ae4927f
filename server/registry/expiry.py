"""Objects that live for a time only: Events go an hour after they were last written.

Follows the section like any watcher, so it costs nothing while nothing is written. What is due
goes in batches of at least ``BATCH_SECONDS``: an old event a few minutes longer is better than a
wake-up and a disk write each. After a restart the time counts anew, as nothing says when an
entry was written.
"""

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

from edgek.aio.clock import Clock
from edgek.kinds.kind import Kind
from server.registry.write import stamp
from server.storage.store import ConditionFailed, Entry, Name, Op, Store, Watcher

BATCH_SECONDS = 300.0


class _Due(NamedTuple):
    at: float
    name: Name
    revision: int


class Expiry:
    """``run`` until cancelled. Invariant: the queue is in order of time."""

    def __init__(self, store: Store, kind: Kind, *, ttl: float, clock: Clock) -> None:
        self._store = store
        self._kind = kind
        self._ttl = ttl
        self._clock = clock
        self._queue: deque[_Due] = deque()

    async def run(self) -> None:
        section = self._kind.storage_prefix
        while True:
            watcher = self._store.watch(section, since=self._store.revision_of(section))
            self._queue.clear()
            for entry in self._store.entries(section):
                self._note(entry)
            try:
                while not watcher.ended:
                    await self._step(watcher)
            finally:
                watcher.close()

    async def _step(self, watcher: Watcher) -> None:
        """Waits for changes or for the next batch to be due."""
        wait = None
        if self._queue:
            wait = max(self._queue[0].at + BATCH_SECONDS - self._clock.monotonic(), 0.0)
        try:
            async with asyncio.timeout(wait):
                changes = await watcher.next()
        except TimeoutError:
            await self._expire()
            return
        for change in changes:
            if change.type != "DELETED":
                self._note(change.new)

    def _note(self, entry: Entry) -> None:
        name = Name(self._kind.storage_prefix, entry.namespace, entry.name)
        self._queue.append(_Due(self._clock.monotonic() + self._ttl, name, entry.revision))

    async def _expire(self) -> None:
        now = self._clock.monotonic()
        while self._queue and self._queue[0].at <= now:
            due = self._queue.popleft()
            entry = self._store.get(due.name)
            if entry is None or entry.revision != due.revision:
                continue  # gone, or written since: then it is in the queue again
            obj = entry.decoded()
            last = {**obj, "metadata": dict(obj["metadata"])}
            with contextlib.suppress(ConditionFailed):
                op = Op(due.name, stamp(last, bounded=False), expected=due.revision, delete=True)
                await self._store.commit(op)
