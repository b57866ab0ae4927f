"""The Node object and its status, as this machine wants them. Pure.

As kubelet_node_status.go: labels and taints of the flags count at the first registration only;
what others wrote (taints, unschedulable, podCIDR, extended resources) is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.node.addresses import Addresses
from agent.node.facts import Facts
from agent.node.resources import NodeResources
from agent.runtime.runtime import Image
from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, annotations, get_path, labels
from edgek.api.time import format_time

READY, NETWORK = "Ready", "NetworkUnavailable"
MAX_IMAGES = 50
"""As the kubelet's nodeStatusMaxImages."""
OWN_DOMAIN = "edgek.io/"
"""Extended resources of this domain are all ours; of others' we know none."""

FEATURES = {"supplementalGroupsPolicy": False}

# condition -> reason and message without and with pressure, as nodestatus/setters.go.
PRESSURE = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """``first_labels`` and ``taints`` are those of the flags. ``annotations`` are kept as they
    are here. ``handlers``: the OCI runtimes, as runtimeHandlers has them. ``pressure``: the
    conditions that hold now. ``images``: as node.status.images has them, None before a look."""

    name: str
    addresses: Addresses
    facts: Facts
    resources: NodeResources
    first_labels: Mapping[str, str]
    taints: tuple[Obj, ...] = ()
    pressure: frozenset[str] = frozenset()
    images: tuple[Obj, ...] | None = None
    handlers: tuple[Obj, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def own_labels(spec: NodeSpec) -> dict[str, str]:
    """As kubelet_node_status.go updateDefaultLabels; the instance type in the manner of k3s."""
    board = {"edgek.io/board": spec.facts.board} if spec.facts.board else {}
    return {
        "beta.kubernetes.io/arch": spec.facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": spec.facts.architecture,
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "edgek",
        **board,
    }


def make_node(spec: NodeSpec) -> Obj:
    """For the first registration."""
    node: Obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": own_labels(spec) | dict(spec.first_labels),
            "annotations": dict(spec.annotations),
        },
        "spec": {},
    }
    if spec.taints:
        node["spec"]["taints"] = list(spec.taints)
    return node


def plan_labels(node: Obj, spec: NodeSpec) -> Obj:
    """A merge patch for labels and annotations that are missing or differ; empty for none."""
    wrong = {k: v for k, v in own_labels(spec).items() if labels(node).get(k) != v}
    marks = {k: v for k, v in spec.annotations.items() if annotations(node).get(k) != v}
    meta = ({"labels": wrong} if wrong else {}) | ({"annotations": marks} if marks else {})
    return {"metadata": meta} if meta else {}


def plan_status(node: Obj, spec: NodeSpec, *, problem: str, clock: Clock) -> Obj:
    """A merge patch for the status; empty where nothing differs. ``problem`` is why the node
    is not ready, "" where it is. Heartbeat times do not count: the Lease is the heartbeat."""
    old = node.get("status") or {}
    facts = spec.facts
    wanted: Obj = {
        "capacity": _resources(old, "capacity", spec.resources.capacity),
        "allocatable": _resources(old, "allocatable", spec.resources.allocatable),
        "addresses": spec.addresses.objects(),
        "nodeInfo": facts.info,
        "runtimeHandlers": list(spec.handlers),
        "features": FEATURES,
    }
    if spec.images is not None:
        wanted["images"] = list(spec.images)
    changes = {k: v for k, v in wanted.items() if (_shown(v) or None) != (old.get(k) or None)}
    conditions = make_conditions(
        old.get("conditions") or [], problem=problem, pressure=spec.pressure, clock=clock
    )
    if conditions != (old.get("conditions") or []):
        changes["conditions"] = conditions
    return {"status": changes} if changes else {}


def _shown(value: Any) -> Any:
    """As the server will have it: a null takes away."""
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return value


def node_images(images: Iterable[Image]) -> tuple[Obj, ...]:
    """The largest first, and no more than MAX_IMAGES; names by digest before those by tag."""
    named = (image for image in images if image.names)
    found = sorted(named, key=lambda i: (-i.size_bytes, i.names))[:MAX_IMAGES]
    return tuple(
        {"names": sorted(i.names, key=lambda n: ("@" not in n, n)), "sizeBytes": i.size_bytes}
        for i in found
    )


def was_ready(node: Obj, spec: NodeSpec) -> bool:
    """Whether an agent of this boot had the node ready. Then its pods run on while another
    starts, and the node must not lose them their endpoints for that."""
    ready = find_condition(get_path(node, "status", "conditions", default=[]), READY)
    same_boot = get_path(node, "status", "nodeInfo", "bootID") == spec.facts.info.get("bootID")
    return same_boot and ready is not None and ready["status"] == "True"


def _resources(old: Obj, which: str, ours: Mapping[str, str]) -> dict[str, str | None]:
    """Ours, the extended resources that others manage, and a null for each of ours that is no
    more."""
    known = get_path(old, which, default={})
    extended = {k: v for k, v in known.items() if "/" in k and not k.startswith(OWN_DOMAIN)}
    gone = {k: None for k in known if k not in extended and k not in ours}
    return {**gone, **extended, **ours}


def make_conditions(
    old: list[Obj], *, problem: str, clock: Clock, pressure: frozenset[str] = frozenset()
) -> list[Obj]:
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
        *(_pressure(kind, there=kind in pressure) for kind in PRESSURE),
        {"type": READY, **ready},
    )
    out = list(old)
    for condition in wanted:
        found = next((c for c in out if c.get("type") == condition["type"]), None)
        if found is None or any(found.get(k) != v for k, v in condition.items()):
            out = with_condition(out, {**condition, "lastHeartbeatTime": now}, now=now)
    return out


def _pressure(kind: str, *, there: bool) -> Obj:
    reason, message = PRESSURE[kind][there]
    return {"type": kind, "status": str(there), "reason": reason, "message": message}
