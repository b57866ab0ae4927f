"""Follower: what the informers say, put into snapshot and queue.

Each change is applied at once and told to the queue by what of it could help a waiting pod.
What an informer says is always taken as the truth, whatever was assumed.
"""

from collections.abc import Mapping

from edgek.api.meta import Obj, annotations, get_path, is_deleting, key_of, labels, name, uid
from edgek.control.informer import Informers
from edgek.kinds import (
    CSI_NODE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
)
from edgek.kinds.pods import is_terminal
from server.scheduler.changes import Change
from server.scheduler.pod_info import pod_info
from server.scheduler.queue import SchedulingQueue
from server.scheduler.rankings import Rankings
from server.scheduler.snapshot import Snapshot
from server.scheduler.storage import SELECTED_NODE
from server.scheduler.volume_binding import VolumeBinder

DEFAULT_NAME = "default-scheduler"


def scheduler_name(pod: Obj) -> str:
    return pod["spec"].get("schedulerName") or DEFAULT_NAME


def waits(pod: Obj) -> bool:
    """For a node, now: gated pods and dying ones wait for nothing."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and not is_deleting(pod)
        and not is_terminal(pod)
    )


class Follower:
    """``rankings`` by the scheduler name of pods: others' pods are left alone."""

    def __init__(
        self,
        snapshot: Snapshot,
        queue: SchedulingQueue,
        rankings: Mapping[str, Rankings],
        volumes: VolumeBinder,
    ) -> None:
        self._snapshot = snapshot
        self._queue = queue
        self._rankings = rankings
        self._volumes = volumes

    async def follow(self, informers: Informers) -> None:
        """Returns once all that is there is in the snapshot, and the pods in the queue."""
        handlers = (
            (NAMESPACE, self._namespace_changed),
            (PERSISTENT_VOLUME_CLAIM, self._claim_changed),
            (PERSISTENT_VOLUME, self._volume_changed),
            (STORAGE_CLASS, self._class_changed),
            (CSI_NODE, self._driver_changed),
            (NODE, self._node_changed),
            (POD, self._pod_changed),
        )
        found = [(informers.get(kind), handler) for kind, handler in handlers]
        for informer, _ in found:
            await informer.wait_synced()
        for informer, handler in found:
            informer.on_change(handler)

    # Nodes and pods

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            if change := self._snapshot.set_node(new):
                self._queue.changed(change)
        elif old is not None:
            self._snapshot.remove_node(name(old))
            self._clear()
            # Domains to spread over, and pods to keep away from, may have gone with it.
            self._queue.changed(Change.POD_GONE)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._queue.remove(key_of(old))
                self._gone(uid(old))
        elif new["spec"].get("nodeName"):
            self._queue.remove(key_of(new))
            self._placed(old, new)
        elif waits(new) and scheduler_name(new) in self._rankings:
            self._enqueue(old, new)
        else:
            self._queue.remove(key_of(new))
            self._gone(uid(new))

    def _placed(self, old: Obj | None, new: Obj) -> None:
        change = self._snapshot.set_pod(new)
        self._snapshot.withdraw(uid(new))
        if old is not None and not old["spec"].get("nodeName"):
            change |= Change.POD_PLACED
        if change:
            self._queue.changed(change)

    def _gone(self, pod_uid: str) -> None:
        self._volumes.gone(pod_uid)
        change = self._snapshot.remove_pod(pod_uid)
        if self._snapshot.withdraw(pod_uid):
            change |= Change.POD_GONE
        if change:
            self._queue.changed(change)

    def _enqueue(self, old: Obj | None, new: Obj) -> None:
        """Our own condition on the pod must not bring it back, or it would never rest."""
        key = key_of(new)
        self._nominate(old, new)
        if old is not None and key in self._queue and _same_wish(old, new):
            self._queue.touch(key, new)
        else:
            self._queue.set(key, new)

    def _nominate(self, old: Obj | None, new: Obj) -> None:
        """Ours were nominated when they were decided on; here are those from before a restart,
        and what others take back."""
        node_name = get_path(new, "status", "nominatedNodeName", default="")
        if node_name == get_path(old, "status", "nominatedNodeName", default=""):
            return
        if node_name:
            self._snapshot.nominate(pod_info(new), node_name)
        elif self._snapshot.withdraw(uid(new)):
            self._queue.changed(Change.POD_GONE)

    # All else

    def _namespace_changed(self, old: Obj | None, new: Obj | None) -> None:
        one = new or old
        if one is None:
            return
        if self._snapshot.set_namespace(name(one), labels(new) if new is not None else None):
            self._clear()
            self._queue.changed(Change.NAMESPACE)

    def _clear(self) -> None:
        for rankings in self._rankings.values():
            rankings.clear()

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> None:
        storage = self._snapshot.storage
        one = new or old
        if one is None:
            return
        key = key_of(one)
        if new is None:
            storage.claims.pop(key, None)
            storage.chosen.pop(key, None)
        else:
            storage.claims[key] = new
            if annotations(new).get(SELECTED_NODE) == storage.chosen.get(key):
                storage.chosen.pop(key, None)
        self._volumes.changed()
        self._queue.changed(Change.CLAIM)

    def _volume_changed(self, old: Obj | None, new: Obj | None) -> None:
        storage = self._snapshot.storage
        if new is not None:
            storage.volumes[name(new)] = new
            if get_path(new, "spec", "claimRef"):
                storage.taken.pop(name(new), None)
        elif old is not None:
            storage.volumes.pop(name(old), None)
            storage.taken.pop(name(old), None)
        self._volumes.changed()
        self._queue.changed(Change.VOLUME)

    def _class_changed(self, old: Obj | None, new: Obj | None) -> None:
        _keep(self._snapshot.storage.classes, old, new)
        self._queue.changed(Change.CLASS)

    def _driver_changed(self, old: Obj | None, new: Obj | None) -> None:
        _keep(self._snapshot.storage.drivers, old, new)
        self._queue.changed(Change.DRIVER)


def _keep(table: dict[str, Obj], old: Obj | None, new: Obj | None) -> None:
    if new is not None:
        table[name(new)] = new
    elif old is not None:
        table.pop(name(old), None)


def _same_wish(old: Obj, new: Obj) -> bool:
    return old["spec"] == new["spec"] and labels(old) == labels(new)
