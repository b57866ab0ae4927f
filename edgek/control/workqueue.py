"""A queue of keys to work on: each at most once, never by two workers at a time.

The dirty/processing/queue triple of client-go's util/workqueue. ``dirty`` holds every key that
needs work; ``processing`` the keys workers hold; ``queue`` is the order of those in dirty and
not in processing. A key added while it is worked on waits in dirty and is queued by ``done``,
so no change is lost and bursts of changes cost one run. Delays live in a heap behind a single
loop timer for the earliest one: an idle queue has no timer and never wakes.

The queue is bounded by the number of distinct keys; per-key failure counts go with ``forget``.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# As workqueue.DefaultTypedControllerRateLimiter, but for its 1000 s at most: who mended the cause
# of a failure should not have to wait a quarter of an hour to see it.
BASE_DELAY = 0.005
MAX_DELAY = 300.0


class ShutDown(Exception):
    """The queue was shut down; there will be no more keys."""


class WorkQueue(Generic[K]):
    """Belongs to one event loop; ``get`` is the only method that waits."""

    def __init__(self, *, base_delay: float = BASE_DELAY, max_delay: float = MAX_DELAY) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._resting: set[K] = set()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._shut_down = False

    def __len__(self) -> int:
        """Keys ready for a worker; delayed ones and those being worked on do not count."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Nothing queued, nothing being worked on, nothing delayed."""
        return not (self._dirty or self._processing or self._due)

    def add(self, key: K) -> None:
        if self._shut_down or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, delay: float) -> None:
        """Adds the key ``delay`` seconds from now, or sooner where it is due sooner already."""
        if delay <= 0:
            self.add(key)
            return
        due = asyncio.get_running_loop().time() + delay
        if self._shut_down or self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._set_timer()

    def add_rate_limited(self, key: K) -> None:
        """Adds the key after a delay that doubles with each call until ``forget``."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # 2**64 would do for any delay; the bound keeps the power from growing without end.
        self.add_after(key, min(self._base_delay * 2 ** min(failures, 64), self._max_delay))

    def forget(self, key: K) -> None:
        """The key's work succeeded: its next failure starts from the base delay again."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Waits for a key and hands it out; pair with ``done``. Raises ShutDown at the end."""
        while not self._queue:
            if self._shut_down:
                raise ShutDown
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                self._give_up(getter)
                raise
        key = self._queue.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K, *, rest: float = 0.0) -> None:
        """The worker is through with the key. If it was added meanwhile, it is due again: at
        once, or after ``rest`` seconds, in which further changes cost nothing more."""
        self._processing.discard(key)
        if key not in self._dirty:
            return
        if rest > 0 and not self._shut_down:
            self._resting.add(key)  # and stays dirty, so that adding it changes nothing
            self.add_after(key, rest)
        else:
            self._push(key)

    def shut_down(self) -> None:
        """Drops what is delayed; workers finish what is queued, then get ShutDown."""
        self._shut_down = True
        self._heap.clear()
        self._due.clear()
        self._set_timer()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    def _push(self, key: K) -> None:
        self._queue.append(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _give_up(self, getter: "asyncio.Future[None]") -> None:
        if getter in self._getters:
            self._getters.remove(getter)
        # Woken and cancelled at once: pass the wake-up on, or the key waits for the next add.
        if self._queue and getter.done() and not getter.cancelled():
            self._wake_one()

    def _set_timer(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # superseded by an earlier time for the same key
        earliest = self._heap[0][0] if self._heap else None
        if self._timer is not None:
            # NB: not timer.when(): what uvloop gives for a moment that is here already has none.
            if self._timer_at == earliest:
                return
            self._timer.cancel()
            self._timer = None
        if earliest is not None:
            self._timer_at = earliest
            self._timer = asyncio.get_running_loop().call_at(earliest, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue
            del self._due[key]
            if key in self._resting:
                self._resting.discard(key)
                self._push(key)
            else:
                self.add(key)
        self._set_timer()
