"""Scheduler: takes pods from the queue, gives each a node, binds it in the background.

Deciding is synchronous and assumes its outcome at once, so the next pod sees it; writing the
binding takes as long as the disk does and runs beside, many at a time, which is what lets the
datastore put them into one commit. What comes back from the API server is always taken as the
truth, whatever was assumed.

It watches all pods and nodes through the shared informers and keeps nothing else.
"""

import asyncio
import logging

from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Conflict, NotFound
from edgek.api.meta import Key, Obj, is_deleting, key_of, labels, name, uid
from edgek.control.controller import Context
from edgek.kinds import NODE, POD
from edgek.kinds.pods import is_terminal
from server.scheduler.binding import bind, report
from server.scheduler.plugins import CLUSTER, FILTERS, SCORES
from server.scheduler.plugins.plugin import Change
from server.scheduler.pod_info import PodInfo, pod_info
from server.scheduler.queue import QueuedPod, SchedulingQueue
from server.scheduler.ranking import Profile, Rankings, Unschedulable
from server.scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)

NAME = "default-scheduler"
DEFAULT_PROFILE = Profile(filters=FILTERS, scores=SCORES, cluster=CLUSTER)

MAX_WRITES = 64
"""Bindings and conditions under way at once; then deciding waits."""
DECISIONS_PER_TURN = 16
"""After so many decisions in a row the event loop's other work gets a turn."""


def helped_by(profile: Profile) -> dict[str, Change]:
    out: dict[str, Change] = {}
    pairs = [(f.name, f.helped_by) for f in profile.filters]
    pairs += [(p.name, p.helped_by) for p in profile.cluster]
    for plugin, changes in pairs:
        out[plugin] = out.get(plugin, Change(0)) | changes
    return out


def is_ours(pod: Obj) -> bool:
    """Waits for a node, from us, now: gated pods and dying ones wait for nothing."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and (spec.get("schedulerName") or NAME) == NAME
        and not spec.get("schedulingGates")
        and not is_deleting(pod)
        and not is_terminal(pod)
    )


def build(context: Context) -> "Scheduler":
    return Scheduler(context)


class Scheduler:
    """A Loop for ``run_controllers``: serves until cancelled."""

    name = "scheduler"

    def __init__(self, context: Context, *, profile: Profile = DEFAULT_PROFILE) -> None:
        self._context = context
        self._events = context.events.source(NAME)
        self._snapshot = Snapshot()
        self._rankings = Rankings(self._snapshot, profile)
        self._queue = SchedulingQueue(helped_by(profile), time=context.clock.monotonic)
        self._slots = asyncio.Semaphore(MAX_WRITES)

    async def run(self) -> None:
        nodes, pods = self._context.informers.get(NODE), self._context.informers.get(POD)
        await nodes.wait_synced()
        await pods.wait_synced()
        nodes.on_change(self._node_changed)
        pods.on_change(self._pod_changed)
        try:
            async with Tasks(self.name) as tasks:
                await self._schedule(tasks)
        finally:
            self._queue.close()

    async def _schedule(self, tasks: Tasks) -> None:
        decisions = 0
        while True:
            key, queued = await self._queue.pop()
            await self._slots.acquire()
            self._decide(tasks, key, queued)
            decisions += 1
            if decisions % DECISIONS_PER_TURN == 0:
                await asyncio.sleep(0)

    # Deciding

    def _decide(self, tasks: Tasks, key: Key, queued: QueuedPod) -> None:
        """One pod's node. NB: holds one of ``_slots``; the write it starts gives it back."""
        try:
            pod = pod_info(queued.pod)
            placed = self._rankings.place(pod)
        except Exception:  # a pod we cannot read must not stop all others
            log.exception("scheduling failed kind=Pod key=%s", key)
            self._queue.failed(key, queued)
            self._slots.release()
            return
        if isinstance(placed, Unschedulable):
            self._queue.refused(key, queued, placed.plugins)
            tasks.spawn(self._refused(pod.pod, placed), name=f"report {key}")
        else:
            self._snapshot.assume(pod, placed)
            tasks.spawn(self._bind(key, queued, pod, placed), name=f"bind {key}")

    async def _bind(self, key: Key, queued: QueuedPod, pod: PodInfo, node_name: str) -> None:
        try:
            await bind(self._context.client, pod.pod, node_name)
        except (NotFound, Conflict) as err:
            # Gone, or bound by someone else: the informer tells which. Should it be neither
            # (a node that is just being deleted), the pod is still in the queue.
            log.debug("binding refused kind=Pod key=%s node=%s err=%s", key, node_name, err)
            self._undo(key, queued, pod)
        except ApiError as err:
            log.warning("binding failed kind=Pod key=%s node=%s err=%s", key, node_name, err)
            self._events.warning(pod.pod, "FailedScheduling", f"binding rejected: {err}")
            self._undo(key, queued, pod)
        else:
            self._events.normal(pod.pod, "Scheduled", f"Successfully assigned {key} to {node_name}")
        finally:
            self._slots.release()

    def _undo(self, key: Key, queued: QueuedPod, pod: PodInfo) -> None:
        self._snapshot.forget(pod.uid)
        self._queue.failed(key, queued)
        self._queue.changed(Change.POD_GONE)

    async def _refused(self, pod: Obj, why: Unschedulable) -> None:
        self._events.warning(pod, "FailedScheduling", why.message)
        try:
            await report(self._context.client, self._context.clock, pod, why)
        except ApiError as err:  # the event has told it; the next refusal tells it again
            log.debug("status write failed kind=Pod key=%s err=%s", key_of(pod), err)
        finally:
            self._slots.release()

    # Following

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None:
            if self._snapshot.set_node(new):
                self._queue.changed(Change.NODE)
        elif old is not None:
            self._snapshot.remove_node(name(old))
            self._rankings.clear()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._queue.remove(key_of(old))
                self._gone(uid(old))
        elif new["spec"].get("nodeName"):
            self._queue.remove(key_of(new))
            if self._snapshot.set_pod(new):
                self._queue.changed(Change.POD_GONE)
            if old is not None and not old["spec"].get("nodeName"):
                self._queue.changed(Change.POD_PLACED)
        elif is_ours(new):
            self._enqueue(old, new)
        else:
            self._queue.remove(key_of(new))

    def _gone(self, pod_uid: str) -> None:
        if self._snapshot.remove_pod(pod_uid):
            self._queue.changed(Change.POD_GONE)

    def _enqueue(self, old: Obj | None, new: Obj) -> None:
        """Our own condition on the pod must not bring it back, or it would never rest."""
        key = key_of(new)
        known = old is not None and key in self._queue
        if known and old is not None and _same_wish(old, new):
            self._queue.touch(key, new)
        else:
            self._queue.set(key, new)


def _same_wish(old: Obj, new: Obj) -> bool:
    return old["spec"] == new["spec"] and labels(old) == labels(new)
