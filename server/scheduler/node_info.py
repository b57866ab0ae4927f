"""NodeInfo: one node and the pods on it, added up.

As framework.NodeInfo upstream. ``snapshot`` makes every change; all others only read.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from edgek.api.meta import Key, Obj, labels
from server.scheduler.affinity import Kin
from server.scheduler.changes import NODE, Change
from server.scheduler.demands import Amounts, amounts
from server.scheduler.pod_info import HostPort, PodInfo


class NodeInfo:
    """One node and the pods on it. ``node`` is None while only its pods are known."""

    __slots__ = (
        "affine",
        "allocatable",
        "claims",
        "generation",
        "groups",
        "images",
        "kins",
        "labels",
        "name",
        "node",
        "pods",
        "ports",
        "requested",
        "score_cpu",
        "score_memory",
        "taints",
        "unschedulable",
    )

    def __init__(self, node_name: str) -> None:
        self.name = node_name
        self.node: Obj | None = None
        self.generation = 0
        self.allocatable: Amounts = {}
        self.labels: Mapping[str, str] = {}
        self.taints: list[Obj] = []
        self.unschedulable = False
        self.images: dict[str, int] = {}
        self.pods: dict[str, PodInfo] = {}
        self.requested: Amounts = {}
        self.score_cpu = 0
        self.score_memory = 0
        self.ports: dict[HostPort, int] = {}
        self.groups: dict[Hashable, int] = {}
        self.kins: dict[Kin, int] = {}
        self.claims: dict[Key, int] = {}
        self.affine: dict[str, PodInfo] = {}
        """Those of ``pods`` that say something of other pods."""

    def set_node(self, node: Obj | None) -> Change:
        """What of the things that scheduling looks at differs from before."""
        new = self.node is None
        before = self._facts()
        self.node = node
        spec, status = (node or {}).get("spec") or {}, (node or {}).get("status") or {}
        self.allocatable = amounts(status.get("allocatable"))
        self.labels = labels(node) if node else {}
        self.taints = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.images = {
            text: image.get("sizeBytes") or 0
            for image in status.get("images") or ()
            for text in image.get("names") or ()
        }
        return NODE if new else _difference(before, self._facts())

    def _facts(self) -> tuple[Any, ...]:
        tainted = (self.taints, self.unschedulable)
        return (self.labels, tainted, (self.allocatable, self.images))

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        if pod.terms is not None:
            self.affine[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, pod: PodInfo) -> None:
        del self.pods[pod.uid]
        self.affine.pop(pod.uid, None)
        self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        requested = self.requested
        for resource, number in pod.requests.items():
            requested[resource] = requested.get(resource, 0) + sign * number
        self.score_cpu += sign * pod.score_cpu
        self.score_memory += sign * pod.score_memory
        bump(self.kins, pod.kin, sign)
        if pod.group is not None:
            bump(self.groups, pod.group, sign)
        for port in pod.ports:
            bump(self.ports, port, sign)
        for claim in pod.claims:
            bump(self.claims, claim, sign)


def _difference(before: tuple[Any, ...], now: tuple[Any, ...]) -> Change:
    changes = (Change.NODE_LABELS, Change.NODE_TAINTS, Change.NODE_ROOM)
    out = Change(0)
    for change, was, has in zip(changes, before, now, strict=True):
        if was != has:
            out |= change
    return out


def bump(counts: dict[Any, int], key: Any, by: int) -> None:
    """Counts up or down; a key that reaches nothing is dropped, so that nothing grows."""
    number = counts.get(key, 0) + by
    if number > 0:
        counts[key] = number
    else:
        counts.pop(key, None)
