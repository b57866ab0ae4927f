"""Pod garbage collector: pods that nobody will finish are removed.

As pkg/controller/podgc, but by events and timers, not by a tick. Four sorts: pods of a node that
is gone (after a quarantine, should the node come back), pods that are being deleted on a node that
people say is out of service, or that never got a node (nobody would confirm their end), and
finished pods beyond a threshold, the oldest first.
"""

from collections.abc import Sequence
from contextlib import suppress

from edgek.api.conditions import is_true
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, uid
from edgek.api.taints import OUT_OF_SERVICE
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.control.informer import Informer
from edgek.kinds import NODE, POD
from edgek.kinds.pods import is_terminal, node_name

QUARANTINE = 40.0
TERMINATED_THRESHOLD = 12500
BY_NODE = "node"

CLUSTER = Key("", "")
"""Stands for all finished pods together; no node has an empty name."""


def build(context: Context) -> "PodGarbageCollector":
    return PodGarbageCollector(context)


def index_by_node(pod: Obj) -> list[str]:
    return [node_name(pod)]


def plan_terminated(pods: Sequence[Obj], *, threshold: int) -> list[Obj]:
    """Finished pods beyond ``threshold``, the oldest first."""
    done = [p for p in pods if is_terminal(p) and not is_deleting(p)]
    excess = len(done) - threshold
    if threshold <= 0 or excess <= 0:
        return []
    done.sort(key=lambda p: (p["metadata"].get("creationTimestamp") or "", key_of(p)))
    return done[:excess]


def failed_status(pod: Obj, *, now: str) -> Obj:
    """What is left to say of a pod whose node can say nothing any more."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
        "lastTransitionTime": now,
    }
    status = pod.get("status") or {}
    others = [c for c in status.get("conditions") or () if c["type"] != condition["type"]]
    return {**status, "phase": "Failed", "conditions": [*others, condition]}


def terminated_status(pod: Obj) -> Obj:
    """Of a pod on a node that is out of service: it had been told to end before."""
    return {**(pod.get("status") or {}), "phase": "Failed"}


def _out_of_service(node: Obj | None) -> bool:
    """As gcTerminating: not ready, and people say it will not come back as it was."""
    if node is None or is_true(get_path(node, "status", "conditions"), "Ready"):
        return False
    return any(t.get("key") == OUT_OF_SERVICE for t in get_path(node, "spec", "taints", default=()))


class PodGarbageCollector:
    """Keys are those of nodes (gone or not), or ``CLUSTER``; "" is the node of unscheduled pods."""

    name = "pod-garbage-collector-controller"
    kind = NODE

    def __init__(self, context: Context, *, threshold: int = TERMINATED_THRESHOLD) -> None:
        self._client = context.client
        self._clock = context.clock
        self._threshold = threshold
        self._nodes = context.informers.get(NODE)
        self._pods: Informer = context.informers.get(POD)
        self._pods.add_index(BY_NODE, index_by_node)
        self._missing: dict[str, float] = {}
        self.watches: Sequence[Watch] = (
            ForKind(
                NODE,
                when=lambda old, new: (
                    _out_of_service(old) != _out_of_service(new) or old is None or new is None
                ),
            ),
            Mapped(POD, self._keys, when=_matters),
        )

    def _keys(self, pod: Obj) -> list[Key]:
        if not node_name(pod):
            return [CLUSTER] if is_deleting(pod) else []
        return [Key("", node_name(pod)), *([CLUSTER] if is_terminal(pod) else [])]

    async def reconcile(self, key: Key) -> Result:
        if key == CLUSTER:
            for pod in self._pods.by_index(BY_NODE, ""):
                if is_deleting(pod):
                    # It has no node to say so, and who holds it by a finalizer waits for its end.
                    await self._fail(pod, terminated_status(pod))
                    await self._remove(pod)
            if len(self._pods) > self._threshold:
                for pod in plan_terminated(self._pods.list(), threshold=self._threshold):
                    await self._remove(pod)
            return DONE
        return await self._node(key)

    async def _node(self, key: Key) -> Result:
        orphans = self._pods.by_index(BY_NODE, key.name)
        node = self._nodes.get(key)
        if node is not None or not orphans:
            self._missing.pop(key.name, None)
            for pod in orphans if _out_of_service(node) else ():
                if is_deleting(pod):
                    await self._fail(pod, terminated_status(pod))
                    await self._remove(pod)
            return DONE
        now = self._clock.monotonic()
        left = self._missing.setdefault(key.name, now) + QUARANTINE - now
        if left > 0.001:
            return Result(requeue_after=left)
        if await self._exists(key):  # asked, not looked up: what follows cannot be undone
            return DONE
        for pod in orphans:
            await self._fail(pod, failed_status(pod, now=format_time(self._clock.now())))
            await self._remove(pod)
        self._missing.pop(key.name, None)
        return DONE

    async def _exists(self, key: Key) -> bool:
        try:
            await self._client.get(NODE, key)
        except NotFound:
            return False
        return True

    async def _fail(self, pod: Obj, status: Obj) -> None:
        if is_terminal(pod):
            return
        with suppress(NotFound, Conflict):
            await self._client.update_status(POD, {**pod, "status": status})

    async def _remove(self, pod: Obj) -> None:
        with suppress(NotFound, Conflict):
            await self._client.delete(
                POD, key_of(pod), grace_period_seconds=0, preconditions={"uid": uid(pod)}
            )


def _matters(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None:
        return True
    return (node_name(old), is_deleting(old), is_terminal(old)) != (
        node_name(new),
        is_deleting(new),
        is_terminal(new),
    )
