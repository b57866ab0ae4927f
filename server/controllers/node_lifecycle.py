"""Node lifecycle: nodes that fall silent are marked, tainted, and in the end given up.

As pkg/controller/nodelifecycle, by timers of its own instead of a tick: a heartbeat (a renewed
Lease or a status the node wrote) only notes the time; one timer per node looks whether one came
within the grace period. Times are monotonic and of our own observing, so neither a jump of the
clock nor a restart (Leases are gone then) makes a node look dead: its grace starts anew.

Taints are written here, in the order and at the pace of ``node_eviction``; deleting pods for them
is ``taint_eviction``'s, and what pods of lost nodes show is in ``node_pods``.
"""

import logging
from collections.abc import Iterable, Sequence

from edgek.aio.clock import Clock
from edgek.api.meta import Key, Obj, get_path, name, namespace, resource_version
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.control.informer import Informer
from edgek.kinds import LEASE, NODE, POD
from edgek.kinds.kind import Kind
from edgek.kinds.pods import node_name
from server.controllers.autonomy import Autonomy, marks_changed
from server.controllers.node_eviction import EPSILON, EvictionPace, Verdict
from server.controllers.node_health import (
    heartbeat,
    plan_silence,
    plan_taints,
    ready_status,
    zone_of,
)
from server.controllers.node_pods import PodMarks

log = logging.getLogger(__name__)

GRACE = 50.0
"""As --node-monitor-grace-period: five heartbeats may be lost."""
LEASES = "kube-node-lease"


def build(context: Context, *, grace: float = GRACE, autonomous: bool = False) -> "NodeLifecycle":
    return NodeLifecycle(context, grace=grace, autonomy=Autonomy(autonomous))


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
    """Writes nodes' Unknown conditions and the taints that follow from conditions, and has the
    status of lost nodes' pods written."""

    name = "node-lifecycle-controller"
    kind = NODE

    def __init__(self, context: Context, *, grace: float = GRACE, autonomy: Autonomy) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source("node-controller")
        self._grace = grace
        self._nodes = context.informers.get(NODE)
        self._nodes.on_change(self._tell)
        self._marks = PodMarks(context, autonomy, self._events)
        self._beats = Heartbeats(context.clock, self._nodes)
        self._pace = EvictionPace(context.clock)
        self.watches: Sequence[Watch] = (
            self._beats,
            ForKind(NODE, when=self._noted),
            Mapped(NODE, self._lost_beside, when=_zone_changed),
            # A pod that says it is ready on a lost node was written before the loss was known.
            Mapped(POD, _node_of, when=lambda o, n: o is None or n is None or marks_changed(o, n)),
        )

    def _noted(self, old: Obj | None, new: Obj | None) -> bool:
        if new is not None and (old is None or _spoke(old, new)):
            self._beats.note(name(new))
        return True

    def _tell(self, old: Obj | None, new: Obj | None) -> None:
        """Nodes that were there when we started have been told of before."""
        if old is None and new is not None and self._nodes.synced.is_set():
            message = f"Node {name(new)} event: Registered Node {name(new)} in Controller"
            self._events.normal(new, "RegisteredNode", message)
        if new is None and old is not None:
            message = f"Node {name(old)} event: Removing Node {name(old)} from Controller"
            self._events.normal(old, "RemovingNode", message)

    def _lost_beside(self, node: Obj) -> list[Key]:
        """One node more or less that is well changes what is right for the lost ones."""
        lost = (n for n in self._nodes.list() if ready_status(n) != "True")
        return [Key("", name(n)) for n in lost if zone_of(n) == zone_of(node)]

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        if node is None:
            self._beats.forget(key.name)
            return DONE
        left = self._grace - self._beats.age(key.name)
        if left <= EPSILON and await self._mark_silent(node):
            return DONE  # comes back here by its own change
        wait = await self._taint(node)
        await self._marks.mark(node)
        left = self._grace - self._beats.age(key.name)
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

    def _may_evict(self, node: Obj) -> Verdict:
        zone = zone_of(node)
        if ready_status(node) == "True" and not self._pace.was_lost(zone):
            return Verdict()
        nodes = [n for n in self._nodes.list() if zone_of(n) == zone]
        if self._pace.has_come_back(zone, nodes):
            for other in nodes:
                self._beats.note(name(other))
        silent = ready_status(node) == "Unknown"
        grace_left = self._grace - self._beats.age(name(node)) if silent else 0.0
        return self._pace.verdict(node, nodes, grace_left=grace_left)


def _zone_changed(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None:
        return True
    return (ready_status(old), zone_of(old)) != (ready_status(new), zone_of(new))


def _spoke(old: Obj, new: Obj) -> bool:
    """Unknown is what we write of a node; none says so of itself."""
    return ready_status(new) != "Unknown" and heartbeat(old) != heartbeat(new)


def _node_of(pod: Obj) -> list[Key]:
    return [Key("", node_name(pod))] if node_name(pod) else []
