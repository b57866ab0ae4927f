"""The end of all pods in good order, before the machine goes down.

As pkg/kubelet/nodeshutdown: groups by priority, the least important first, each with its time; a
pod's own grace counts where it is shorter. Meanwhile the node is not ready and new pods are
refused. When to do this is decided elsewhere (``agent/node/stopping.py``, ``edgek node shutdown``).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.pods.plan import grace_seconds
from agent.pods.state import Failure
from agent.pods.sync import PodSync
from agent.shutdown_args import Period
from edgek.aio.clock import Clock
from edgek.api.meta import Obj, get_path, uid
from edgek.kinds.pods import is_terminal

log = logging.getLogger(__name__)

ENDED = Failure(
    reason="Terminated",
    message="Pod was terminated in response to imminent node shutdown.",
    disruption=True,
    returns=True,
)
REFUSED = Failure(reason="NodeShutdown", message="Pod was rejected as the node is shutting down.")
NOT_READY = "node is shutting down"
TOLD_SECONDS = 3.0
"""For the server to hear of it: it may be out of reach."""


@dataclass(frozen=True, kw_only=True)
class Group:
    seconds: int
    pods: tuple[str, ...]


def plan_shutdown(pods: Iterable[Obj], periods: Sequence[Period]) -> tuple[Group, ...]:
    """Who ends with whom, in order. As groupByPriority: what is below all ends first."""
    order = sorted(periods, key=lambda period: period.priority)
    members: list[list[str]] = [[] for _ in order]
    for pod in pods:
        if order and not is_terminal(pod):
            priority = get_path(pod, "spec", "priority", default=0)
            place = sum(period.priority <= priority for period in order)
            members[max(place - 1, 0)].append(uid(pod))
    found = zip(order, members, strict=True)
    return tuple(Group(seconds=p.seconds, pods=tuple(m)) for p, m in found if m)


class Shutdown:
    """``run`` once. ``not_ready(why)`` makes the node not ready; ``extend(seconds)`` is called
    before each wait, for whoever would lose patience with us."""

    def __init__(
        self,
        sync: PodSync,
        periods: Sequence[Period],
        *,
        clock: Clock,
        not_ready: Callable[[str], None],
        extend: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._sync = sync
        self._periods = periods
        self._clock = clock
        self._not_ready = not_ready
        self._extend = extend
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Returns when all pods have ended, or their time is over. Asked again meanwhile it is
        the same shutdown."""
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="shutdown")
        await asyncio.shield(self._running)

    def left(self) -> list[str]:
        """The pods that still run something."""
        found = self._sync.parts.containers
        return [u for u in found.uids() if any(c.state == "running" for c in found.of(u))]

    async def _run(self) -> None:
        pods = self._sync.parts.pods
        groups = plan_shutdown(pods.all(), self._periods)
        log.info("the node shuts down pods=%d", sum(len(g.pods) for g in groups))
        self._sync.gates.insert(0, lambda pod: REFUSED)
        self._not_ready(NOT_READY)
        for group in groups:
            self._extend(group.seconds)
            await self._end(group)
        self._extend(TOLD_SECONDS)
        await self._tell()

    async def _end(self, group: Group) -> None:
        for pod_uid in group.pods:
            pod = self._sync.parts.pods.get(pod_uid)
            if pod is not None:
                grace = min(group.seconds, grace_seconds(pod))
                self._sync.fail(pod_uid, ENDED, grace_seconds=grace)
        try:
            async with asyncio.timeout(group.seconds):
                for pod_uid in group.pods:
                    await self._sync.ended(pod_uid)
        except TimeoutError:
            left = set(self.left()) & set(group.pods)
            log.warning("pods do not end in time pods=%d seconds=%d", len(left), group.seconds)

    async def _tell(self) -> None:
        """A last chance for statuses to reach the server. Without one the pods start again at
        the next boot, as the API has them."""
        deadline = self._clock.monotonic() + TOLD_SECONDS
        writer = self._sync.parts.writer
        while not writer.idle and self._clock.monotonic() < deadline:
            await self._clock.sleep(0.1)
