"""The places of one priority level, and the queues of those who wait for one.

Each flow (a user, or a namespace) has a queue of its own, and places that get free go to the
flows in turn: who floods waits behind himself. All is bounded; when everything is full, the
longest queue gives way to a flow that has less. Shuffle sharding (upstream) shares few queues
among many flows; with a queue for each flow that waits there is nothing to share.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable

from edgek.api import errors

WAIT_SECONDS = 15.0
"""As upstream: a quarter of how long a request may take."""


def too_many() -> errors.TooManyRequests:
    return errors.TooManyRequests.after("too many requests, please try again later.", seconds=1)


class FairQueue:
    """``limit`` at work at a time; ``per_flow`` and ``total`` may wait."""

    def __init__(self, *, limit: int, per_flow: int, total: int) -> None:
        self.limit = limit
        self.per_flow = per_flow
        self.total = total
        self.working = 0
        self._queues: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self._count = 0

    @property
    def idle(self) -> bool:
        return not self.working and not self._count

    def resize(self, *, limit: int, per_flow: int, total: int) -> None:
        """Who waits already stays."""
        self.limit, self.per_flow, self.total = limit, per_flow, total
        self._give_places()

    async def enter(self, flow: Hashable) -> None:
        """Raises TooManyRequests where there is no place, nor one to wait for. Who has entered
        must leave."""
        if self.working < self.limit and not self._count:
            self.working += 1
            return
        waiting = self._line_up(flow)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await waiting
        except BaseException as err:
            self._withdraw(flow, waiting)
            if isinstance(err, TimeoutError):
                raise too_many() from err
            raise

    def leave(self) -> None:
        self.working -= 1
        self._give_places()

    def _line_up(self, flow: Hashable) -> "asyncio.Future[None]":
        queue = self._queues.get(flow)
        length = len(queue) if queue else 0
        if length >= self.per_flow or (self._count >= self.total and not self._drop_for(length)):
            raise too_many()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(flow, deque()).append(waiting)
        self._count += 1
        return waiting

    def _drop_for(self, length: int) -> bool:
        """Refuses the last of the longest queue, where that is longer than the newcomer's."""
        flow, longest = max(self._queues.items(), key=lambda item: len(item[1]), default=("", ()))
        if len(longest) <= length + 1:
            return False
        last = self._queues[flow].pop()
        self._count -= 1
        if not last.done():
            last.set_exception(too_many())
        return True

    def _give_places(self) -> None:
        while self.working < self.limit and self._queues:
            flow, queue = self._queues.popitem(last=False)
            waiting = queue.popleft()
            self._count -= 1
            if queue:
                self._queues[flow] = queue  # behind all others
            if not waiting.done():
                self.working += 1
                waiting.set_result(None)

    def _withdraw(self, flow: Hashable, waiting: "asyncio.Future[None]") -> None:
        """Of one that was cancelled or has waited too long; it may have a place by now."""
        if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
            self.leave()
            return
        queue = self._queues.get(flow)
        if queue and waiting in queue:
            queue.remove(waiting)
            self._count -= 1
            if not queue:
                del self._queues[flow]
