"""Snapshot: what runs where, kept up to date by single changes.

As upstream's scheduler cache, in one: pods are *assumed* on their node the moment they are
placed, so that the next decision sees them; the informer's word then confirms or corrects it,
and ``forget`` undoes it when the binding fails. Nothing here waits or does I/O.

Every change of a node stamps it with a new ``generation`` and moves it to the end of
``nodes``, so that a reader asks only for what changed since it last looked.

``without`` and ``with_pods`` are what-ifs: inside them the snapshot is of another cluster, and
after them of this one again. No one else looks meanwhile, for nothing here waits.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from edgek.api.meta import Key, Obj, is_deleting, labels, name
from edgek.kinds.pods import is_terminal
from server.scheduler.affinity import AffinityIndex
from server.scheduler.changes import NOTHING, Change
from server.scheduler.demands import given
from server.scheduler.node_info import NodeInfo, bump
from server.scheduler.pod_info import PodInfo, pod_info
from server.scheduler.storage import Storage

RESIZED = ("containers", "initContainers", "resources")

__all__ = ["NodeInfo", "Snapshot"]


class Snapshot:
    """Invariant: a pod is on at most one node; terminal pods are on none."""

    def __init__(self) -> None:
        self.generation = 0
        self._nodes: OrderedDict[str, NodeInfo] = OrderedDict()
        self._where: dict[str, NodeInfo] = {}
        self._assumed: set[str] = set()
        self._ready = 0
        self.priorities: dict[int, int] = {}
        self.affinity = AffinityIndex()
        self.claims: dict[Key, int] = {}
        """How many placed pods name a claim."""
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.nominated: dict[str, tuple[PodInfo, str]] = {}
        """Pods for which others had to go, and the node they are to get."""
        self.storage = Storage()

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
        if (info := self._nodes.get(node_name)) is None:
            info = self._nodes[node_name] = NodeInfo(node_name)
        return info

    # Nodes

    def set_node(self, node: Obj) -> Change:
        """Adds or updates a node; what of it changed that matters."""
        info = self._info(name(node))
        self._ready += info.node is None
        with self._unindexed(info, labels(node)):
            change = info.set_node(node)
        if change:
            self._touch(info)
        return change

    @contextmanager
    def _unindexed(self, info: NodeInfo, becoming: Mapping[str, str]) -> Iterator[None]:
        """What pods say of others is kept by the labels of their node, which may change now."""
        moving = list(info.affine.values()) if info.labels != becoming else []
        for pod in moving:
            self._index(pod, info, -1)
        yield
        for pod in moving:
            self._index(pod, info, 1)

    def _index(self, pod: PodInfo, info: NodeInfo, sign: int) -> None:
        if pod.terms is not None:
            self.affinity.count(pod.terms, info.labels, sign)

    def remove_node(self, node_name: str) -> None:
        """NB: readers that keep verdicts by node must forget that one's themselves. A node
        whose pods are still known stays as a shell that ``nodes`` does not show."""
        info = self._nodes.get(node_name)
        if info is None or info.node is None:
            return
        self._ready -= 1
        with self._unindexed(info, {}):
            info.set_node(None)
        self._drop_shell(info)

    def _drop_shell(self, info: NodeInfo) -> None:
        if info.node is None and not info.pods:
            self._nodes.pop(info.name, None)

    # Pods

    def assume(self, pod: PodInfo, node_name: str) -> None:
        """Counts the pod on the node though its binding is still on the way."""
        self._place(pod, node_name)
        self._assumed.add(pod.uid)

    def has(self, uid: str) -> bool:
        return uid in self._where

    def forget(self, uid: str) -> None:
        """Undoes ``assume``; a pod the informer confirmed meanwhile stays."""
        if uid in self._assumed:
            self.remove_pod(uid)

    def set_pod(self, pod: Obj) -> Change:
        """The informer's word on a pod with a node; how it differs from what was known of it."""
        uid, node_name = pod["metadata"].get("uid") or "", pod["spec"]["nodeName"]
        if is_terminal(pod):
            return self.remove_pod(uid)
        self._assumed.discard(uid)
        if self._same(uid, pod):
            return NOTHING
        info, fresh = self._where.get(uid), pod_info(pod)
        known = info.pods[uid] if info is not None and info.name == node_name else None
        change = _difference(known, fresh) if known else self.remove_pod(uid) | Change.POD_PLACED
        self._place(fresh, node_name)
        return change

    def _same(self, uid: str, pod: Obj) -> bool:
        """Whether the pod is where it was and asks for what it did: most updates are of status."""
        info = self._where.get(uid)
        if info is None or info.name != pod["spec"]["nodeName"]:
            return False
        known = info.pods[uid]
        if not _same_demands(known.pod, pod):
            return False
        info.pods[uid] = fresh = known._replace(pod=pod)  # lets go of the old version's memory
        if fresh.terms is not None:
            info.affine[uid] = fresh
        return True

    def _place(self, pod: PodInfo, node_name: str) -> None:
        if pod.uid in self._where:
            self.remove_pod(pod.uid)  # which drops the shell of a node that is gone
        info = self._where[pod.uid] = self._info(node_name)
        if self.nominated:
            self.nominated.pop(pod.uid, None)
        self._enter(pod, info)

    def remove_pod(self, uid: str) -> Change:
        """POD_GONE where it was there."""
        self._assumed.discard(uid)
        info = self._where.pop(uid, None)
        if info is None:
            return NOTHING
        self._leave(info.pods[uid], info)
        self._drop_shell(info)
        return Change.POD_GONE

    def _enter(self, pod: PodInfo, info: NodeInfo) -> None:
        info.add(pod)
        self._count(pod, info, 1)

    def _leave(self, pod: PodInfo, info: NodeInfo) -> None:
        info.remove(pod)
        self._count(pod, info, -1)

    def _count(self, pod: PodInfo, info: NodeInfo, sign: int) -> None:
        if pod.terms is not None:
            self._index(pod, info, sign)
        bump(self.priorities, pod.priority, sign)
        for claim in pod.claims:
            bump(self.claims, claim, sign)
        self._touch(info)

    # What if

    @contextmanager
    def with_pods(self, pods: Iterable[tuple[PodInfo, str]]) -> Iterator[None]:
        """As if these pods were on these nodes already."""
        placed = [(pod, self._info(node_name)) for pod, node_name in pods]
        for pod, info in placed:
            self._enter(pod, info)
        try:
            yield
        finally:
            for pod, info in placed:
                self._leave(pod, info)
                self._drop_shell(info)

    @contextmanager
    def without(self, pods: Sequence[PodInfo]) -> Iterator[Callable[[PodInfo], None]]:
        """As if these pods were gone; the function given takes one back in (or out again)."""
        out: dict[str, PodInfo] = {}

        def turn(pod: PodInfo) -> None:
            info = self._where[pod.uid]
            if out.pop(pod.uid, None) is not None:
                self._enter(pod, info)
            else:
                out[pod.uid] = pod
                self._leave(pod, info)

        for pod in pods:
            turn(pod)
        try:
            yield turn
        finally:
            for pod in list(out.values()):
                turn(pod)

    # Nominations

    def nominate(self, pod: PodInfo, node_name: str) -> None:
        """The node is kept for the pod, from those that are less important."""
        if not self.has(pod.uid):
            self.nominated[pod.uid] = (pod, node_name)

    def withdraw(self, uid: str) -> bool:
        return self.nominated.pop(uid, None) is not None

    def ghosts(self, pod: PodInfo) -> list[tuple[PodInfo, str]]:
        """The nominated pods that this one has to make way for, and their nodes."""
        return [
            (other, node_name)
            for other, node_name in self.nominated.values()
            if other.uid != pod.uid
            and other.priority >= pod.priority
            and self.node(node_name) is not None
        ]

    # Namespaces

    def set_namespace(self, namespace: str, its: Mapping[str, str] | None) -> bool:
        """Whether its labels changed. NB: tallies that went by them must be made anew."""
        before = self.namespaces.get(namespace)
        if its is None:
            self.namespaces.pop(namespace, None)
        else:
            self.namespaces[namespace] = its
        if before == its:
            return False
        self.affinity.version += 1
        return True


def _difference(known: PodInfo, fresh: PodInfo) -> Change:
    """What a change of a pod, where it is, can mean to others."""
    change = NOTHING
    if any(number > fresh.requests.get(name, 0) for name, number in known.requests.items()):
        change |= Change.POD_GONE
    if known.kin.labels != fresh.kin.labels:
        change |= Change.POD_GONE | Change.POD_PLACED
    if known.kin.deleting != fresh.kin.deleting:
        change |= Change.POD_PLACED  # it is not counted where pods are spread
    return change


def _same_demands(old: Obj, new: Obj) -> bool:
    """Resources of a placed pod change by /resize only; being deleted matters to spreading."""
    return (
        labels(old) == labels(new)
        and is_deleting(old) == is_deleting(new)
        and all(old["spec"].get(field) == new["spec"].get(field) for field in RESIZED)
        and given(old) == given(new)
    )
