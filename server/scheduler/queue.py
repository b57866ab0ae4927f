"""SchedulingQueue: the pods that wait for a node.

As upstream's internal/queue: *active* pods are to be tried now, by priority, then age; those
*in backoff* failed a moment ago and wait a little; *unschedulable* ones wait for a change that
could help them, and nothing else wakes them. A pod is in one of the three, or with the
scheduler. There is one loop timer, for the pod that leaves backoff first, and none without.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgek.api.meta import Key, Obj
from server.scheduler.changes import Change

# As scheduler DefaultPodInitialBackoffSeconds and DefaultPodMaxBackoffSeconds.
INITIAL_BACKOFF = 1.0
MAX_BACKOFF = 10.0


@dataclass
class QueuedPod:
    """A pod on its way; ``order`` (age in the queue) and ``attempts`` outlive its updates."""

    pod: Obj
    order: int
    attempts: int = 0
    backoff_until: float = 0.0
    refused_by: frozenset[str] = frozenset()
    state: str = field(default="", repr=False)

    @property
    def rank(self) -> tuple[int, int]:
        return -(self.pod["spec"].get("priority") or 0), self.order


class SchedulingQueue:
    """``helped_by`` says, by plugin name, which changes may move what that plugin refused."""

    def __init__(self, helped_by: Mapping[str, Change], *, time: Callable[[], float]) -> None:
        self._helped_by = helped_by
        self._time = time
        self._pods: dict[Key, QueuedPod] = {}
        self._active: list[tuple[tuple[int, int], Key]] = []
        self._backoff: list[tuple[float, Key]] = []
        self._waiting: set[Key] = set()
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def idle(self) -> bool:
        """Nothing to try now; some may be in backoff or wait for a change."""
        return not self._active

    # What the cluster says

    def set(self, key: Key, pod: Obj) -> None:
        """A pod without a node is new, or its spec or labels changed: worth a try."""
        queued = self._pods.get(key)
        if queued is None:
            queued = self._pods[key] = QueuedPod(pod, next(self._order))
        queued.pod = pod
        if queued.state != "taken":
            self._ready(key, queued)

    def touch(self, key: Key, pod: Obj) -> None:
        """The pod changed in a way that cannot help it (its status)."""
        if (queued := self._pods.get(key)) is not None:
            queued.pod = pod

    def remove(self, key: Key) -> None:
        """The pod is gone, or has a node."""
        if self._pods.pop(key, None) is not None:
            self._waiting.discard(key)

    def __contains__(self, key: Key) -> bool:
        return key in self._pods

    def changed(self, change: Change) -> None:
        """Moves the unschedulable pods that the change may help."""
        if not self._waiting:
            return
        helped = {name for name, by in self._helped_by.items() if by & change}
        for key in list(self._waiting):
            queued = self._pods[key]
            # No plugin refused it: there were no nodes at all.
            nodes = not queued.refused_by and change & Change.NODE_ADDED
            if nodes or queued.refused_by & helped:
                self._ready(key, queued)

    # What the scheduler says

    async def pop(self) -> tuple[Key, QueuedPod]:
        """The pod to try next, the scheduler's until ``refused``, ``failed`` or ``remove``."""
        while True:
            while self._active:
                rank, key = heapq.heappop(self._active)
                queued = self._pods.get(key)
                if queued is not None and queued.state == "active" and queued.rank == rank:
                    queued.state = "taken"
                    queued.attempts += 1
                    return key, queued
            self._wake.clear()
            await self._wake.wait()

    def refused(self, key: Key, queued: QueuedPod, plugins: frozenset[str]) -> None:
        """No node would do: wait for a change."""
        if self._pods.get(key) is queued:
            queued.refused_by = plugins
            queued.backoff_until = self._time() + self._delay(queued)
            queued.state = "waiting"
            self._waiting.add(key)

    def failed(self, key: Key, queued: QueuedPod) -> None:
        """The try broke off (the binding failed): again after a while.

        Nothing happens where ``queued`` left meanwhile, its name perhaps another pod's now.
        """
        if self._pods.get(key) is queued:
            queued.backoff_until = self._time() + self._delay(queued)
            queued.state = ""
            self._ready(key, queued)

    def retry(self, key: Key, queued: QueuedPod) -> None:
        """What was to help a refused pod went wrong: no change will come to wake it.

        NB: one came meanwhile perhaps, and it is tried already.
        """
        if self._pods.get(key) is queued and queued.state == "waiting":
            self._ready(key, queued)

    def _delay(self, queued: QueuedPod) -> float:
        return min(INITIAL_BACKOFF * 2.0 ** min(queued.attempts - 1, 16), MAX_BACKOFF)

    def _ready(self, key: Key, queued: QueuedPod) -> None:
        self._waiting.discard(key)
        if queued.backoff_until > self._time():
            if queued.state != "backoff":
                queued.state = "backoff"
                heapq.heappush(self._backoff, (queued.backoff_until, key))
                self._set_timer()
            return
        queued.state = "active"
        heapq.heappush(self._active, (queued.rank, key))
        self._wake.set()

    # Backoff

    def _set_timer(self) -> None:
        earliest = self._backoff[0][0] if self._backoff else None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if earliest is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(earliest - self._time(), 0.0), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._time()
        while self._backoff and self._backoff[0][0] <= now:
            _, key = heapq.heappop(self._backoff)
            queued = self._pods.get(key)
            if queued is not None and queued.state == "backoff":
                self._ready(key, queued)
        self._set_timer()

    def close(self) -> None:
        """Stops the timer; the queue is of no further use."""
        if self._timer is not None:
            self._timer.cancel()
