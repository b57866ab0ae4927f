"""Evictor: looks at the node's signals, tells its conditions, and frees what it must.

As pkg/kubelet/eviction: what belongs to nobody goes first (dead containers, unused images), then
one pod, and then it waits until that pod is gone before it looks again. It looks when the kernel
calls (psi.py), when an image came, and at times that depend on how much is left (period.py).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from agent.kubelet_args import KubeletArgs, Threshold
from agent.pods.admission import is_critical
from agent.pods.state import Failure
from agent.pods.sync import PodSync
from agent.pressure.dead import remove_dead
from agent.pressure.images import ImageCollector
from agent.pressure.limits import SHORTEST, exceeded, has_limits, slack, walk_due
from agent.pressure.period import LONGEST, next_look
from agent.pressure.psi import MemoryStalls
from agent.pressure.ranking import PodUsage, eviction_message, rank
from agent.pressure.signals import CONDITIONS as CONDITION_OF
from agent.pressure.signals import DISK, RESOURCES, Observations, thresholds_met
from agent.pressure.state import PressureState, observe
from edgek.aio.clock import Clock
from edgek.api.meta import Obj, key_of, uid
from edgek.kinds.pods import is_terminal

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 30.0
"""As podCleanupTimeout."""
NUDGE_SECONDS = 2.0
RECLAIM_AGAIN = 60.0
"""Where nothing was found to reclaim on the node, it is not looked for again so soon."""
OLD_IMAGES_EVERY = 300.0


class Signals(Protocol):
    """The machine's figures: ``reading.Reader``, or a test's."""

    def read(self) -> Observations: ...

    def dedicated_image_fs(self) -> bool: ...


class Measures(Protocol):
    """What pods use, by uid: ``usage.Meter``, or a test's."""

    def memory(self, pods: Iterable[Obj]) -> Mapping[str, PodUsage]: ...

    async def disk(self, pods: Iterable[Obj]) -> Mapping[str, PodUsage]: ...


@dataclass(kw_only=True)
class Evictor:
    """``tell(reason, message)`` is a warning about the node, ``warn`` one about a pod;
    ``on_conditions`` gets the pressure conditions that hold whenever they change."""

    args: KubeletArgs
    reader: Signals
    sync: PodSync
    meter: Measures
    images: ImageCollector
    clock: Clock
    tell: Callable[[str, str], None]
    on_conditions: Callable[[frozenset[str]], None]

    def __post_init__(self) -> None:
        self.state = PressureState()
        self._wake = asyncio.Event()
        self._nudge: asyncio.TimerHandle | None = None
        self._evicting: set[str] = set()
        self._spared: set[str] = set()
        self._reclaimed_at = self._told_at = self._old_images_at = float("-inf")
        self._told = ""
        self._walked: _Walked | None = None

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def nudge(self) -> None:
        """Look soon: a container came or went, and what is used changes with it."""
        if self._nudge is None:
            self._nudge = asyncio.get_running_loop().call_later(NUDGE_SECONDS, self._nudged)

    def _nudged(self) -> None:
        self._nudge = None
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        stalls = MemoryStalls(self.wake)
        self.sync.parts.containers.on_change = self.nudge
        try:
            while True:
                self._wake.clear()
                wait = await self._guarded_look()
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            stalls.close()
            self.sync.parts.containers.on_change = lambda: None
            if self._nudge is not None:
                self._nudge.cancel()

    async def _guarded_look(self) -> float:
        try:
            return await self.look()
        except Exception:  # a node that cannot evict still runs pods
            log.exception("a look at the node's signals failed")
            return LONGEST

    async def look(self) -> float:
        """One look, and what it calls for. How long to wait for the next."""
        thresholds, now = self.args.thresholds, self.clock.monotonic()
        seen = self.reader.read()
        before = self.state.conditions
        self.state = observe(self.state, thresholds, seen, now=now, transition=self.args.transition)
        if self.state.conditions != before:
            self._spared.clear()
            log.info("pressure conditions=%s", ",".join(sorted(self.state.conditions)) or "none")
            self.on_conditions(self.state.conditions)
        if await self._keep_limits(seen):
            return 0.0
        if self.state.acted_on and await self._reclaim(self.state.acted_on, seen):
            return 0.0
        await self._old_images(now)
        wait = next_look(thresholds, seen, self.state, now=now, transition=self.args.transition)
        return min(wait, self._limits_wait())

    # -- what the node can do without ---------------------------------------------------------

    async def _reclaim(self, due: tuple[Threshold, ...], seen: Observations) -> bool:
        """Whether a pod was evicted, so that it is to be looked again at once."""
        threshold, now = due[0], self.clock.monotonic()
        resource = RESOURCES[threshold.signal]
        if self._told != resource or now - self._told_at >= RECLAIM_AGAIN:
            self._told, self._told_at = resource, now
            self.tell("EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if CONDITION_OF[threshold.signal] == DISK and await self._reclaim_node(threshold, now):
            return False
        return await self._evict_one(threshold, seen)

    async def _reclaim_node(self, threshold: Threshold, now: float) -> bool:
        """Dead containers and unused images. Whether that was enough."""
        if threshold.signal.startswith("nodefs") and self.reader.dedicated_image_fs():
            return False  # nothing of those is there
        if now - self._reclaimed_at < RECLAIM_AGAIN:
            return False
        parts = self.sync.parts
        dead = await remove_dead(parts.runtime, parts.containers, parts.pods)
        done = await self.images.free()
        if done.refused:
            self.tell("ImageGCFailed", f"failed to garbage collect images: {done.refused[0]}")
        if not dead and not done.removed:
            self._reclaimed_at = now
        return not thresholds_met(self.args.thresholds, self.reader.read(), reclaim=True)

    async def _old_images(self, now: float) -> None:
        if self.args.image_gc.max_age and now - self._old_images_at >= OLD_IMAGES_EVERY:
            self._old_images_at = now
            await self.images.free_old()

    # -- pods ---------------------------------------------------------------------------------

    def _active(self) -> list[Obj]:
        """Pods that have something running and may go."""
        parts = self.sync.parts
        self._evicting &= {uid(pod) for pod in parts.pods.all()}
        return [
            pod for pod in parts.pods.all()
            if not is_terminal(pod)
            and uid(pod) not in self._evicting
            and parts.containers.of(uid(pod))
        ]  # fmt: skip

    async def _evict_one(self, threshold: Threshold, seen: Observations) -> bool:
        pods = self._active()
        resource = RESOURCES[threshold.signal]
        usages = await self._usages(pods, resource)
        for pod in rank(pods, usages, resource=resource):
            message = eviction_message(pod, usages.get(uid(pod)), threshold, seen)
            grace = 1 if threshold.hard else self.args.max_pod_grace
            if await self._evict(pod, message, grace=grace, disruption=True):
                return True
        return False

    async def _usages(self, pods: list[Obj], resource: str) -> Mapping[str, PodUsage]:
        if resource in ("memory", "pids"):
            return self.meter.memory(pods)
        return await self.meter.disk(pods)

    async def _evict(self, pod: Obj, message: str, *, grace: int, disruption: bool) -> bool:
        """Whether the pod could be; returns when it is gone, or takes too long for that."""
        if is_critical(pod):
            if uid(pod) not in self._spared:
                log.warning("cannot evict a critical pod pod=%s", key_of(pod))
                self._spared.add(uid(pod))
            return False
        log.warning("evicting pod pod=%s message=%r", key_of(pod), message)
        failure = Failure(reason="Evicted", message=message, disruption=disruption)
        if not self.sync.fail(uid(pod), failure, grace_seconds=grace):
            return False
        self._evicting.add(uid(pod))
        self.sync.parts.events.warning(pod, "Evicted", message)
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await self.sync.given_back(uid(pod))  # its volumes too: they are what fills
        except TimeoutError:
            log.warning("an evicted pod takes long to end pod=%s", key_of(pod))
        return True

    # -- limits of local storage ------------------------------------------------------------

    async def _keep_limits(self, seen: Observations) -> bool:
        """Whether a pod was above its own limits and had to go."""
        pods = [pod for pod in self._active() if has_limits(pod)]
        if not pods:
            self._walked = None
            return False
        now, free = self.clock.monotonic(), _free(seen)
        last = self._walked
        uids = frozenset(uid(pod) for pod in pods)
        if last is not None and last.uids >= uids:
            filled = max(last.free - free, 0)
            if not walk_due(age=now - last.at, took=last.took, filled=filled, slack=last.slack):
                return False
        usages = await self.meter.disk(pods)
        took = self.clock.monotonic() - now
        left = min(slack(pod, usages[uid(pod)]) for pod in pods)
        self._walked = _Walked(at=now, took=took, free=free, slack=left, uids=uids)
        evicted = False
        dedicated = self.reader.dedicated_image_fs()
        for pod in pods:
            message = exceeded(pod, usages[uid(pod)], dedicated_image_fs=dedicated)
            if message:
                evicted |= await self._evict(pod, message, grace=1, disruption=False)
        return evicted

    def _limits_wait(self) -> float:
        if self._walked is None:
            return LONGEST
        return SHORTEST


@dataclass(frozen=True, kw_only=True)
class _Walked:
    """The last measurement of pods with limits."""

    at: float
    took: float
    free: int
    slack: Fraction
    uids: frozenset[str]


def _free(seen: Observations) -> int:
    """Of both filesystems together: how far it falls bounds what any pod wrote."""
    names = ("nodefs.available", "imagefs.available")
    return sum(seen[n].available for n in names if n in seen)
