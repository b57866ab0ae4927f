"""Snapshot: what runs where, kept up to date by single changes.

As upstream's scheduler cache, in one: pods are *assumed* on their node the moment they are
placed, so that the next decision sees them; the informer's word then confirms or corrects it,
and ``forget`` undoes it when the binding fails. Nothing here waits or does I/O.

Every change of a node stamps it with a new ``generation`` and moves it to the end of
``nodes``, so that a reader asks only for what changed since it last looked.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from edgek.api.meta import Obj, is_deleting, labels, name
from edgek.kinds.pods import is_terminal
from server.scheduler.pod_info import Amounts, HostPort, PodInfo, amounts, pod_info


class NodeInfo:
    """One node and the pods on it. ``node`` is None while only its pods are known."""

    __slots__ = (
        "allocatable",
        "generation",
        "groups",
        "images",
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
        self.ports: Counter[HostPort] = Counter()
        self.groups: Counter[Hashable] = Counter()

    def set_node(self, node: Obj | None) -> bool:
        """Whether anything that scheduling looks at differs from before."""
        before = self._facts() if self.node is not None else None
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
        return before is None or node is None or before != self._facts()

    def _facts(self) -> tuple[Any, ...]:
        return (self.allocatable, self.labels, self.taints, self.unschedulable, self.images)

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, pod: PodInfo) -> None:
        del self.pods[pod.uid]
        self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        requested = self.requested
        for resource, number in pod.requests.items():
            requested[resource] = requested.get(resource, 0) + sign * number
        self.score_cpu += sign * pod.score_cpu
        self.score_memory += sign * pod.score_memory
        _tally(self.groups, (pod.group,) if pod.group is not None else (), sign)
        _tally(self.ports, pod.ports, sign)


def _tally(counter: "Counter[Any]", keys: Iterable[Any], sign: int) -> None:
    """Counts up or down; a key that reaches nothing is dropped, so that nothing grows."""
    for key in keys:
        counter[key] += sign
        if counter[key] <= 0:
            del counter[key]


class Snapshot:
    """Invariant: a pod is on at most one node; terminal pods are on none."""

    def __init__(self) -> None:
        self.generation = 0
        self._nodes: OrderedDict[str, NodeInfo] = OrderedDict()
        self._where: dict[str, NodeInfo] = {}
        self._assumed: set[str] = set()
        self._ready = 0

    def __len__(self) -> int:
        """Nodes that exist (not those known only from their pods)."""
        return self._ready

    def nodes(self) -> list[NodeInfo]:
        return [info for info in self._nodes.values() if info.node is not None]

    def node(self, node_name: str) -> NodeInfo | None:
        info = self._nodes.get(node_name)
        return info if info is not None and info.node is not None else None

    def changed_since(self, generation: int) -> Iterator[NodeInfo]:
        """Nodes that changed after ``generation``, the latest change first."""
        for info in reversed(self._nodes.values()):
            if info.generation <= generation:
                return
            if info.node is not None:
                yield info

    def _touch(self, info: NodeInfo) -> None:
        self.generation += 1
        info.generation = self.generation
        self._nodes.move_to_end(info.name)

    def _info(self, node_name: str) -> NodeInfo:
        info = self._nodes.get(node_name)
        if info is None:
            info = self._nodes[node_name] = NodeInfo(node_name)
        return info

    # Nodes

    def set_node(self, node: Obj) -> bool:
        """Adds or updates a node; False when nothing that matters changed."""
        info = self._info(name(node))
        self._ready += info.node is None
        if not info.set_node(node):
            return False
        self._touch(info)
        return True

    def remove_node(self, node_name: str) -> None:
        """NB: readers that keep verdicts by node must forget that one's themselves. A node
        whose pods are still known stays as a shell that ``nodes`` does not show."""
        info = self._nodes.get(node_name)
        if info is None or info.node is None:
            return
        self._ready -= 1
        info.set_node(None)
        self._drop_shell(info)

    def _drop_shell(self, info: NodeInfo) -> None:
        if info.node is None and not info.pods:
            self._nodes.pop(info.name, None)

    # Pods

    def assume(self, pod: PodInfo, node_name: str) -> None:
        """Counts the pod on the node though its binding is still on the way."""
        self._place(pod, self._info(node_name))
        self._assumed.add(pod.uid)

    def has(self, uid: str) -> bool:
        return uid in self._where

    def forget(self, uid: str) -> None:
        """Undoes ``assume``; a pod the informer confirmed meanwhile stays."""
        if uid in self._assumed:
            self.remove_pod(uid)

    def set_pod(self, pod: Obj) -> bool:
        """The informer's word on a pod with a node; whether room on a node was freed."""
        uid, node_name = pod["metadata"].get("uid") or "", pod["spec"]["nodeName"]
        if is_terminal(pod):
            return self.remove_pod(uid)
        self._assumed.discard(uid)
        if self._same(uid, pod):
            return False
        freed = self.remove_pod(uid)
        self._place(pod_info(pod), self._info(node_name))
        return freed

    def _same(self, uid: str, pod: Obj) -> bool:
        """Whether the pod is where it was and asks for what it did: most updates are of status."""
        info = self._where.get(uid)
        if info is None or info.name != pod["spec"]["nodeName"]:
            return False
        known = info.pods[uid]
        if not _same_demands(known.pod, pod):
            return False
        info.pods[uid] = replace(known, pod=pod)  # lets go of the old version's memory
        return True

    def _place(self, pod: PodInfo, info: NodeInfo) -> None:
        self.remove_pod(pod.uid)
        info.add(pod)
        self._where[pod.uid] = info
        self._touch(info)

    def remove_pod(self, uid: str) -> bool:
        self._assumed.discard(uid)
        info = self._where.pop(uid, None)
        if info is None:
            return False
        info.remove(info.pods[uid])
        self._touch(info)
        self._drop_shell(info)
        return True


def _same_demands(old: Obj, new: Obj) -> bool:
    """Resources of a placed pod change by /resize only; being deleted matters to spreading."""
    return (
        labels(old) == labels(new)
        and is_deleting(old) == is_deleting(new)
        and old["spec"].get("containers") == new["spec"].get("containers")
    )
