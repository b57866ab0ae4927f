"""The Node object and its status, as this machine wants them. Pure.

As kubelet_node_status.go: labels and taints of the flags count at the first registration only;
what others wrote (taints, unschedulable, podCIDR, extended resources) is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.node.facts import Facts
from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, get_path, labels
from edgek.api.time import format_time

READY, NETWORK = "Ready", "NetworkUnavailable"


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """``first_labels`` and ``taints`` are those of the flags."""

    name: str
    ip: str
    facts: Facts
    max_pods: int
    first_labels: Mapping[str, str]
    taints: tuple[Obj, ...] = ()


def own_labels(spec: NodeSpec) -> dict[str, str]:
    return {
        "kubernetes.io/arch": spec.facts.architecture,
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
    }


def make_node(spec: NodeSpec) -> Obj:
    """For the first registration."""
    node: Obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": own_labels(spec) | dict(spec.first_labels)},
        "spec": {},
    }
    if spec.taints:
        node["spec"]["taints"] = list(spec.taints)
    return node


def plan_labels(node: Obj, spec: NodeSpec) -> Obj:
    """A merge patch for labels that are missing or differ; empty where none does."""
    wrong = {k: v for k, v in own_labels(spec).items() if labels(node).get(k) != v}
    return {"metadata": {"labels": wrong}} if wrong else {}


def plan_status(node: Obj, spec: NodeSpec, *, problem: str, clock: Clock) -> Obj:
    """A merge patch for the status; empty where nothing differs. ``problem`` is why the node
    is not ready, "" where it is. Heartbeat times do not count: the Lease is the heartbeat."""
    old = node.get("status") or {}
    facts = spec.facts
    addresses = [
        {"type": "InternalIP", "address": spec.ip},
        {"type": "Hostname", "address": facts.hostname},
    ]
    wanted: Obj = {
        "capacity": {**_kept(old, "capacity"), **facts.capacity(max_pods=spec.max_pods)},
        "allocatable": {**_kept(old, "allocatable"), **facts.allocatable(max_pods=spec.max_pods)},
        "addresses": addresses,
        "nodeInfo": facts.info,
    }
    changes = {k: v for k, v in wanted.items() if old.get(k) != v}
    conditions = make_conditions(old.get("conditions") or [], problem=problem, clock=clock)
    if conditions != (old.get("conditions") or []):
        changes["conditions"] = conditions
    return {"status": changes} if changes else {}


def was_ready(node: Obj, spec: NodeSpec) -> bool:
    """Whether an agent of this boot had the node ready. Then its pods run on while another
    starts, and the node must not lose them their endpoints for that."""
    ready = find_condition(get_path(node, "status", "conditions", default=[]), READY)
    same_boot = get_path(node, "status", "nodeInfo", "bootID") == spec.facts.info.get("bootID")
    return same_boot and ready is not None and ready["status"] == "True"


def _kept(old: Obj, which: str) -> dict[str, str]:
    """Extended resources, which others manage."""
    return {k: v for k, v in get_path(old, which, default={}).items() if "/" in k}


def make_conditions(old: list[Obj], *, problem: str, clock: Clock) -> list[Obj]:
    now = format_time(clock.now())
    ready = (
        {"status": "False", "reason": "KubeletNotReady", "message": problem}
        if problem
        else {
            "status": "True",
            "reason": "KubeletReady",
            "message": "edgek is posting ready status",
        }
    )
    wanted = (
        _fine("MemoryPressure", "KubeletHasSufficientMemory", "sufficient memory available"),
        _fine("DiskPressure", "KubeletHasNoDiskPressure", "no disk pressure"),
        _fine("PIDPressure", "KubeletHasSufficientPID", "sufficient PID available"),
        {"type": READY, **ready},
    )
    out = list(old)
    for condition in wanted:
        found = next((c for c in out if c.get("type") == condition["type"]), None)
        if found is None or any(found.get(k) != v for k, v in condition.items()):
            out = with_condition(out, {**condition, "lastHeartbeatTime": now}, now=now)
    return out


def _fine(kind: str, reason: str, what: str) -> Obj:
    return {"type": kind, "status": "False", "reason": reason, "message": f"kubelet has {what}"}
