"""The end of a pod on this node: what it stood on is given back, then all of it goes.

Of a pod that is over, containers and logs stay readable; they go with its object.
"""

from collections.abc import Callable

from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.state import POD_NAME, POD_NAMESPACE
from edgek.aio.tasks import cancel_and_wait
from edgek.api.meta import Obj, name, uid


class Departure:
    """``released()`` is called when a pod has given back what it held."""

    def __init__(self, parts: Parts, released: Callable[[], None]) -> None:
        self.parts = parts
        self._released = released

    def rebuilt(self, pod_uid: str) -> Obj:
        """What the labels of its containers tell of a pod."""
        found = self.parts.containers.of(pod_uid)
        known = found[0].labels if found else {}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": known.get(POD_NAME, "unknown"),
                "namespace": known.get(POD_NAMESPACE, ""),
                "uid": pod_uid,
            },
            "spec": {},
        }

    def clean(self, pod: Obj, memory: Memory, *, remove: bool) -> None:
        if memory.cleaning or memory.removed or (memory.released and not remove):
            return
        memory.cleaning = True
        self.parts.tasks.spawn(self._run_clean(pod, memory, remove), name=f"clean/{name(pod)}")

    async def _run_clean(self, pod: Obj, memory: Memory, remove: bool) -> None:
        p, pod_uid = self.parts, uid(pod)
        for container_id in p.probes.watched(pod_uid):
            p.probes.forget(container_id)
        try:
            if memory.preparing is not None:  # or a slow mount would come after the clean-up
                await cancel_and_wait(memory.preparing)
            returns = memory.failure is not None and memory.failure.returns
            await p.cleaner.release(pod, returns=returns)
            memory.address = memory.sandbox.ip if memory.sandbox else memory.address
            memory.sandbox, memory.prepared, memory.released = None, None, True
            memory.given_back.set()
            self._released()
            if remove:
                await p.cleaner.remove(pod)
                p.sources.use(pod_uid, set())
                memory.removed = True
                if p.pods.get(pod_uid) is not None:
                    p.writer.finish(pod)
        finally:
            memory.cleaning = False
            p.queue.add(pod_uid)
