"""What a node's silence and its conditions mean: conditions, taints, and when to evict; pure.

As pkg/controller/nodelifecycle, but for one thing: where all nodes of a zone are silent, upstream
evicts at its normal rate as long as another zone is well. Here none is given up: on the edge a
zone is a site, and a site falls silent with its link. Zones are those of the topology labels;
nodes without them are one zone.
"""

from collections.abc import Sequence
from enum import Enum

from edgek.api import taints as t
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, get_path, labels
from edgek.api.taints import NO_EXECUTE, NO_SCHEDULE, same_taint

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
OLD_REGION = "failure-domain.beta.kubernetes.io/region"
OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"

WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

# (condition, its status) -> the taint that keeps new pods away (nodeConditionToTaintKeyStatusMap).
CONDITION_TAINTS = {
    ("Ready", "False"): t.NOT_READY,
    ("Ready", "Unknown"): t.UNREACHABLE,
    ("MemoryPressure", "True"): t.MEMORY_PRESSURE,
    ("DiskPressure", "True"): t.DISK_PRESSURE,
    ("PIDPressure", "True"): t.PID_PRESSURE,
    ("NetworkUnavailable", "True"): t.NETWORK_UNAVAILABLE,
}
EVICTING = (t.NOT_READY, t.UNREACHABLE)

UNHEALTHY_THRESHOLD = 0.55
LARGE_CLUSTER = 50


class Disruption(Enum):
    """How much of a zone is unreachable, and so how far it is to be believed.

    When all its nodes fall silent at once it is the link to them that is lost, and evicting
    everything would do all the harm there is.
    """

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


def zone_of(node: Obj) -> tuple[str, str]:
    """Region and zone; as component-helpers node/topology GetZoneKey."""
    found = labels(node)
    return (
        found.get(REGION) or found.get(OLD_REGION) or "",
        found.get(ZONE) or found.get(OLD_ZONE) or "",
    )


def ready_status(node: Obj) -> str:
    found = find_condition(get_path(node, "status", "conditions"), "Ready")
    return str(found["status"]) if found else "Unknown"


def heartbeat(node: Obj) -> tuple[str, str]:
    """Differs when the node itself wrote its status; our own marks do not touch it."""
    found = find_condition(get_path(node, "status", "conditions"), "Ready") or {}
    status = found.get("status") or ""
    return found.get("lastHeartbeatTime") or "", "" if status == "Unknown" else status


def disruption(nodes: Sequence[Obj]) -> Disruption:
    """The state of one zone's nodes; as ComputeZoneState."""
    bad = sum(ready_status(node) != "True" for node in nodes)
    if bad and bad == len(nodes):
        return Disruption.FULL
    if bad > 2 and bad / len(nodes) >= UNHEALTHY_THRESHOLD:
        return Disruption.PARTIAL
    return Disruption.NORMAL


def eviction_interval(state: Disruption, nodes: int) -> float | None:
    """Seconds between two nodes that are given up; None: none is, for now."""
    if state is Disruption.NORMAL:
        return 10.0
    if state is Disruption.PARTIAL and nodes > LARGE_CLUSTER:
        return 100.0
    return None


def plan_silence(node: Obj, *, now: str) -> Obj | None:
    """The status of a node that is no longer heard of; None where it says so already."""
    status = node.get("status") or {}
    conditions = status.get("conditions") or []
    for kind in WATCHED:
        old = find_condition(conditions, kind)
        if old is None:
            new = {
                "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
            }
        elif old.get("status") != "Unknown":
            new = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
        else:
            continue
        beat = {"lastHeartbeatTime": (old or {}).get("lastHeartbeatTime")}
        condition = {"type": kind, "status": "Unknown", **beat, **new}
        shown = {k: v for k, v in condition.items() if v is not None}
        conditions = with_condition(conditions, shown, now=now)
    if conditions == (status.get("conditions") or []):
        return None
    return {**status, "conditions": conditions}


def plan_taints(node: Obj, *, evict: bool | None, now: str) -> list[Obj] | None:
    """The node's taints by its conditions; None where they are right already.

    ``evict``: whether a node that is not ready is given up (NoExecute); None leaves that as it
    is. A node that is ready again never keeps those.
    """
    old: list[Obj] = get_path(node, "spec", "taints", default=[])
    wanted = _wanted(node, old, evict)
    managed = {(key, NO_SCHEDULE) for key in (*CONDITION_TAINTS.values(), t.UNSCHEDULABLE)}
    managed |= {(key, NO_EXECUTE) for key in EVICTING}
    kept = [
        taint
        for taint in old
        if (taint.get("key"), taint.get("effect")) not in managed
        or any(same_taint(taint, w) for w in wanted)
    ]
    new = [w | {"timeAdded": now} for w in wanted if not any(same_taint(w, k) for k in kept)]
    return None if kept == old and not new else [*kept, *new]


def _wanted(node: Obj, old: Sequence[Obj], evict: bool | None) -> list[Obj]:
    found = get_path(node, "status", "conditions", default=[])
    keys = [CONDITION_TAINTS.get((c.get("type"), c.get("status"))) for c in found]
    if get_path(node, "spec", "unschedulable"):
        keys.append(t.UNSCHEDULABLE)
    if not any(c.get("type") == "Ready" for c in found):
        keys.append(t.NOT_READY)  # a node that never said a word takes no pods
    wanted = [{"key": key, "effect": NO_SCHEDULE} for key in keys if key]
    lost = [key for key in keys if key in EVICTING and find_condition(found, "Ready")]
    if evict is None:
        evict = any(x.get("effect") == NO_EXECUTE and x.get("key") in EVICTING for x in old)
    return wanted + [{"key": key, "effect": NO_EXECUTE} for key in lost if key and evict]


def needs_eviction(node: Obj) -> bool:
    """Not ready, and its pods not given up yet."""
    if ready_status(node) == "True":
        return False
    taints = get_path(node, "spec", "taints", default=())
    return not any(x.get("effect") == NO_EXECUTE and x.get("key") in EVICTING for x in taints)
