"""Room for a pod that is new here: who goes for it, and who must be gone before it starts.

Pods that the node has begun to end hold no room against another's admission, but use it until they
have ended. As pkg/kubelet/preemption, which ends pods one by one and lets the critical one in
after that; here only the pod waits, and no other.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from agent.pods.admission import crowded
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import grace_seconds
from agent.pods.preemption import PREEMPTED, plan_preemption
from agent.pods.state import Failure
from edgek.api.meta import Obj, name, namespace, uid

log = logging.getLogger(__name__)

LEAST_SECONDS = 10.0


class Room:
    """``known`` is what sync keeps of each pod; ``fail`` ends one."""

    def __init__(
        self, parts: Parts, known: Mapping[str, Memory], *, fail: Callable[[str, Failure], bool]
    ) -> None:
        self.parts = parts
        self._known, self._fail = known, fail

    def take(self, pod: Obj, others: Iterable[Obj]) -> None:
        """Ends those who go for a critical pod."""
        for victim in plan_preemption(pod, others, self.parts.host):
            self.parts.events.warning(victim, PREEMPTED.reason, PREEMPTED.message)
            self._fail(uid(victim), PREEMPTED)

    def wait(self, pod: Obj, memory: Memory, others: Iterable[Obj]) -> None:
        """Holds the pod back while it has no place beside those that are being ended."""
        ending = self._ending()
        running = [other for other in others if not self._known[uid(other)].crowded]
        if ending and crowded(pod, [*running, *ending], self.parts.host.allocatable):
            memory.crowded = True
            run = self._wait(pod, memory, ending)
            self.parts.tasks.spawn(run, name=f"room/{name(pod)}")

    def _ending(self) -> list[Obj]:
        """Pods that the node ends, and that may still run."""
        return [
            pod for pod in self.parts.pods.all()
            if (known := self._known.get(uid(pod))) is not None
            and known.failure and not known.failure.rejected and not known.ended.is_set()
        ]  # fmt: skip

    async def _wait(self, pod: Obj, memory: Memory, ending: list[Obj]) -> None:
        waits_for = [self._known[uid(other)].ended for other in ending]
        try:
            async with asyncio.timeout(max(map(_patience, ending))):
                for ended in waits_for:
                    await ended.wait()
        except TimeoutError:
            log.warning("pods that make room do not end for=%s/%s", namespace(pod), name(pod))
        finally:
            memory.crowded = False
            self.parts.queue.add(uid(pod))


def _patience(pod: Obj) -> float:
    """As killPodNow: then the other comes all the same."""
    return max(grace_seconds(pod) * 1.5, LEAST_SECONDS)
