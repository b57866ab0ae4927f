"""Scheduler: takes pods from the queue, gives each a node, binds it in the background.

Deciding is synchronous and assumes its outcome at once, so the next pod sees it; writing the
binding takes as long as the disk does and runs beside, many at a time, which is what lets the
datastore put them into one commit. What comes back from the API server is always taken as the
truth, whatever was assumed (``following``).

A pod that fits nowhere says why, and less important ones may have to go for it
(``preemption``). It watches pods and nodes through the shared informers, and what plugins ask
of namespaces and storage; it keeps nothing else.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Conflict, NotFound
from edgek.api.meta import Key
from edgek.control.controller import Context
from edgek.kinds import POD_DISRUPTION_BUDGET
from server.scheduler.binding import bind, patch_status, report
from server.scheduler.changes import Change
from server.scheduler.following import DEFAULT_NAME, Follower, scheduler_name
from server.scheduler.plugins import CLUSTER, FILTERS, SCORES
from server.scheduler.plugins.default_spread import group_zones
from server.scheduler.plugins.volume_binding import unbound_claims
from server.scheduler.pod_info import PodInfo, pod_info
from server.scheduler.preempting import outdone, preempt
from server.scheduler.preemption import NoPreemption, Preemption, plan_preemption
from server.scheduler.queue import QueuedPod, SchedulingQueue
from server.scheduler.ranking import Profile, Unschedulable
from server.scheduler.rankings import Rankings
from server.scheduler.snapshot import Snapshot
from server.scheduler.volume_binding import VolumeBinder, VolumesNotBound, bind_volumes
from server.scheduler.volume_choice import VolumeChoice, choose_volumes

log = logging.getLogger(__name__)

DEFAULT_PROFILE = Profile(filters=FILTERS, scores=SCORES, cluster=CLUSTER, zones=group_zones)
PROFILES: dict[str, Profile] = {DEFAULT_NAME: DEFAULT_PROFILE}
"""By spec.schedulerName; pods of other names are left to others."""

MAX_WRITES = 64
"""Bindings and conditions under way at once; then deciding waits."""
DECISIONS_PER_TURN = 16
"""After so many decisions in a row the event loop's other work gets a turn."""


def helped_by(profiles: Mapping[str, Profile]) -> dict[str, Change]:
    """Plugin -> the changes that may turn its refusal."""
    out: dict[str, Change] = {}
    for profile in profiles.values():
        pairs = [(p.name, p.helped_by) for p in profile.filters]
        pairs += [(p.name, p.helped_by) for p in profile.cluster]
        for plugin, changes in pairs:
            out[plugin] = out.get(plugin, Change(0)) | changes
    return out


def build(context: Context, *, names: Sequence[str] = ()) -> "Scheduler":
    """``names``: further spec.schedulerNames, whose pods are placed in the same way."""
    return Scheduler(context, profiles=PROFILES | dict.fromkeys(names, DEFAULT_PROFILE))


class Scheduler:
    """A Loop for ``run_controllers``: serves until cancelled."""

    name = "scheduler"

    def __init__(self, context: Context, *, profiles: Mapping[str, Profile] = PROFILES) -> None:
        self._context = context
        self._events = {name: context.events.source(name) for name in profiles}
        self._snapshot = Snapshot()
        self._rankings = {name: Rankings(self._snapshot, p) for name, p in profiles.items()}
        self._queue = SchedulingQueue(helped_by(profiles), time=context.clock.monotonic)
        self._volumes = VolumeBinder(context.client, self._snapshot.storage)
        self._budgets = context.informers.get(POD_DISRUPTION_BUDGET)
        self._slots = asyncio.Semaphore(MAX_WRITES)

    async def run(self) -> None:
        follower = Follower(self._snapshot, self._queue, self._rankings, self._volumes)
        await self._budgets.wait_synced()
        await follower.follow(self._context.informers)
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
            placed = self._rankings[scheduler_name(queued.pod)].place(pod)
            if isinstance(placed, Unschedulable):
                plan = self._plan_preemption(pod, placed)
        except Exception:  # a pod we cannot read must not stop all others
            log.exception("scheduling failed kind=Pod key=%s", key)
            self._queue.failed(key, queued)
            self._slots.release()
            return
        if not isinstance(placed, Unschedulable):
            self._assume(tasks, key, queued, pod, placed)
        elif isinstance(plan, Preemption):
            self._queue.refused(key, queued, placed.plugins)
            self._snapshot.nominate(pod, plan.node)
            tasks.spawn(self._preempt(key, queued, pod, placed, plan), name=f"preempt {key}")
        else:
            self._queue.refused(key, queued, placed.plugins)
            tasks.spawn(self._refused(pod, placed, plan), name=f"report {key}")

    def _plan_preemption(self, pod: PodInfo, why: Unschedulable) -> Preemption | NoPreemption:
        if not len(self._snapshot):
            return NoPreemption(message="")
        rankings = self._rankings[scheduler_name(pod.pod)]
        return plan_preemption(
            pod, why, self._snapshot, fitting=rankings.fitting, budgets=self._budgets.list()
        )

    def _assume(
        self, tasks: Tasks, key: Key, queued: QueuedPod, pod: PodInfo, node_name: str
    ) -> None:
        choice = self._choose_volumes(pod, node_name) if pod.claims else None
        kept = self._snapshot.withdraw(pod.uid)
        self._snapshot.assume(pod, node_name)
        if kept:  # on another node perhaps, which is free for all now
            self._queue.changed(Change.POD_GONE)
        if choice is not None:
            self._volumes.assume(choice)
        tasks.spawn(self._bind(key, queued, pod, node_name, choice), name=f"bind {key}")

    def _choose_volumes(self, pod: PodInfo, node_name: str) -> VolumeChoice | None:
        """What the filter found for the node; nothing changed since."""
        storage, node = self._snapshot.storage, self._snapshot.node(node_name)
        unbound = unbound_claims(pod, storage)
        return choose_volumes(unbound, node, storage) if unbound and node is not None else None

    # Binding

    async def _bind(
        self,
        key: Key,
        queued: QueuedPod,
        pod: PodInfo,
        node_name: str,
        choice: VolumeChoice | None,
    ) -> None:
        events = self._events[scheduler_name(pod.pod)]
        try:
            if choice is not None:
                await bind_volumes(self._volumes, pod.uid, choice, self._slots)
            await bind(self._context.client, pod.pod, node_name)
        except (NotFound, Conflict) as err:
            # Gone, or bound by someone else: the informer tells which. Should it be neither
            # (a node that is just being deleted), the pod is still in the queue.
            log.debug("binding refused kind=Pod key=%s node=%s err=%s", key, node_name, err)
            self._undo(key, queued, pod, choice)
        except (ApiError, VolumesNotBound) as err:
            log.warning("binding failed kind=Pod key=%s node=%s err=%s", key, node_name, err)
            if key in self._queue:
                events.warning(pod.pod, "FailedScheduling", _binding_failed(err))
            self._undo(key, queued, pod, choice)
        else:
            events.normal(pod.pod, "Scheduled", f"Successfully assigned {key} to {node_name}")
        finally:
            self._slots.release()

    def _undo(self, key: Key, queued: QueuedPod, pod: PodInfo, choice: VolumeChoice | None) -> None:
        self._snapshot.forget(pod.uid)
        if choice is not None:
            self._volumes.revert(choice)
        self._queue.failed(key, queued)
        self._queue.changed(Change.POD_GONE)

    # Refusing

    async def _refused(self, pod: PodInfo, why: Unschedulable, plan: NoPreemption) -> None:
        message = f"{why.message} {plan.message}" if plan.message else why.message
        nominated = None
        if plan.forget and self._snapshot.withdraw(pod.uid):
            nominated = ""
            self._queue.changed(Change.POD_GONE)
        try:
            await self._report(pod, message, nominated=nominated)
        finally:
            self._slots.release()

    async def _report(self, pod: PodInfo, message: str, *, nominated: str | None) -> None:
        self._events[scheduler_name(pod.pod)].warning(pod.pod, "FailedScheduling", message)
        context = self._context
        try:
            await report(context.client, context.clock, pod.pod, message, nominated=nominated)
        except ApiError as err:  # the event has told it; the next refusal tells it again
            log.debug("status write failed kind=Pod key=%s err=%s", pod.key, err)

    async def _preempt(
        self, key: Key, queued: QueuedPod, pod: PodInfo, why: Unschedulable, plan: Preemption
    ) -> None:
        """NB: the nomination is told first; when victims are gone, all shall know for whom."""
        context, events = self._context, self._events[scheduler_name(pod.pod)]
        try:
            await self._report(pod, why.message, nominated=plan.node)
            await self._withdraw(outdone(pod, plan.node, self._snapshot))
            await preempt(context.client, context.clock, events, pod, plan)
        except ApiError as err:
            log.warning("preemption failed kind=Pod key=%s node=%s err=%s", key, plan.node, err)
            self._queue.retry(key, queued)
        finally:
            self._slots.release()

    async def _withdraw(self, pods: list[PodInfo]) -> None:
        for pod in pods:
            self._snapshot.withdraw(pod.uid)
            try:
                await patch_status(self._context.client, pod.pod, {"nominatedNodeName": None})
            except (NotFound, Conflict) as err:
                log.debug("nomination stays kind=Pod key=%s err=%s", pod.key, err)


def _binding_failed(err: Exception) -> str:
    if isinstance(err, VolumesNotBound):
        return f'running PreBind plugin "VolumeBinding": binding volumes: {err}'
    return f"binding rejected: {err}"
