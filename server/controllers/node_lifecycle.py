"""Node lifecycle: nodes that fall silent are marked, tainted, and in the end given up.

As pkg/controller/nodelifecycle, by timers of its own instead of a tick: a heartbeat (a renewed
Lease or a status the node wrote) only notes the time; one timer per node looks whether one came
within the grace period. Times are monotonic and of our own observing, so neither a jump of the
clock nor a restart (Leases are gone then) makes a node look dead: its grace starts anew.

Taints are written here; deleting pods for them is ``taint_eviction``'s.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from edgek.aio.clock import Clock
from edgek.api.conditions import with_condition
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import Key, Obj, get_path, name, namespace, resource_version
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, Mapped, Result, Watch
from edgek.control.informer import Informer
from edgek.kinds import LEASE, NODE, POD
from edgek.kinds.kind import Kind
from edgek.kinds.pods import is_ready, node_name
from server.controllers.node_health import (
    disruption,
    eviction_interval,
    heartbeat,
    needs_eviction,
    plan_silence,
    plan_taints,
    ready_status,
)
from server.controllers.pod_gc import BY_NODE, index_by_node

log = logging.getLogger(__name__)

GRACE = 50.0
"""As --node-monitor-grace-period: five heartbeats may be lost."""
LEASES = "kube-node-lease"
EPSILON = 0.001


def build(context: Context, *, grace: float = GRACE) -> "NodeLifecycle":
    return NodeLifecycle(context, grace=grace)


class Heartbeats:
    """A Watch of Leases that notes the time, and calls only for nodes thought to be lost."""

    kind: Kind = LEASE
    label_selector = ""
    field_selector = ""

    def __init__(self, clock: Clock, nodes: Informer) -> None:
        self._clock = clock
        self._nodes = nodes
        self._seen: dict[str, float] = {}

    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if new is None or namespace(new) != LEASES or _renewed(old) == _renewed(new):
            return ()
        self.note(name(new))
        node = self._nodes.get(Key("", name(new)))
        return () if node is None or ready_status(node) == "True" else (Key("", name(new)),)

    def note(self, node: str) -> None:
        self._seen[node] = self._clock.monotonic()

    def age(self, node: str) -> float:
        """Seconds since the last sign of life; the first question counts as one."""
        now = self._clock.monotonic()
        return now - self._seen.setdefault(node, now)

    def forget(self, node: str) -> None:
        self._seen.pop(node, None)


def _renewed(lease: Obj | None) -> object:
    return None if lease is None else get_path(lease, "spec", "renewTime")


class NodeLifecycle:
    """Writes nodes' Unknown conditions and the taints that follow from conditions."""

    name = "node-lifecycle-controller"
    kind = NODE

    def __init__(self, context: Context, *, grace: float = GRACE) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source("node-controller")
        self._grace = grace
        self._nodes = context.informers.get(NODE)
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_NODE, index_by_node)
        self._beats = Heartbeats(context.clock, self._nodes)
        self._next_eviction = 0.0
        self.watches: Sequence[Watch] = (
            self._beats,
            Mapped(NODE, self._node_keys, when=self._noted),
            # A pod that says it is ready on a lost node was written before the loss was known.
            Mapped(POD, lambda pod: [Key("", node_name(pod))] if node_name(pod) else [],
                   when=lambda old, new: old is None or new is None),
        )  # fmt: skip

    def _noted(self, old: Obj | None, new: Obj | None) -> bool:
        if new is not None and (old is None or heartbeat(old) != heartbeat(new)):
            self._beats.note(name(new))
        return True

    def _node_keys(self, node: Obj) -> list[Key]:
        """One node more or less that is well changes what is right for the lost ones."""
        lost = [n for n in self._nodes.list() if ready_status(n) != "True"]
        return [Key("", name(n)) for n in (node, *lost)]

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        if node is None:
            self._beats.forget(key.name)
            return DONE
        left = self._grace - self._beats.age(key.name)
        if left <= EPSILON and await self._mark_silent(node):
            return DONE  # comes back here by its own change
        wait = await self._taint(node)
        if ready_status(node) != "True":
            await self._mark_pods(key)
        waits = [w for w in (wait, left) if w is not None and w > EPSILON]
        return Result(requeue_after=min(waits)) if waits else DONE

    async def _mark_silent(self, node: Obj) -> bool:
        status = plan_silence(node, now=format_time(self._clock.now()))
        if status is None:
            return False
        log.warning("node is silent kind=Node name=%s grace=%s", name(node), self._grace)
        if ready_status(node) == "True":
            message = f"Node {name(node)} status is now: NodeNotReady"
            self._events.normal(node, "NodeNotReady", message)
        await self._client.update_status(NODE, {**node, "status": status})
        return True

    async def _taint(self, node: Obj) -> float | None:
        """Returns after how many seconds the node may be given up, where that must wait."""
        evict, wait = self._may_evict(node)
        now = format_time(self._clock.now())
        taints = plan_taints(node, evict=evict, now=now)
        if taints is not None:
            body = {
                "metadata": {"resourceVersion": resource_version(node)},
                "spec": {"taints": taints or None},
            }
            await self._client.patch(NODE, Key("", name(node)), body)
        return wait

    def _may_evict(self, node: Obj) -> tuple[bool | None, float | None]:
        nodes = self._nodes.list()
        interval = eviction_interval(disruption(nodes), len(nodes))
        if interval is None:
            # Full disruption takes back what was given up; as handleDisruption.
            full = all(ready_status(n) != "True" for n in nodes)
            return (False if full else None), None
        if not needs_eviction(node):
            return None, None
        now = self._clock.monotonic()
        if now + EPSILON < self._next_eviction:
            return None, self._next_eviction - now
        self._next_eviction = now + interval
        return True, None

    async def _mark_pods(self, key: Key) -> None:
        """As MarkPodsNotReady: nobody should call them, whatever they said last."""
        now = format_time(self._clock.now())
        for pod in self._pods.by_index(BY_NODE, key.name):
            if not is_ready(pod):
                continue
            condition = {"type": "Ready", "status": "False"}
            conditions = with_condition(pod["status"]["conditions"], condition, now=now)
            status = {**pod["status"], "conditions": conditions}
            self._events.warning(pod, "NodeNotReady", "Node is not ready")
            with suppress(NotFound, Conflict):
                await self._client.update_status(POD, {**pod, "status": status})
