"""Writes pod statuses to the API, and the last deletion; sync never waits for the server.

Only what differs is sent. While nobody answers, the newest status of each pod waits here and is
tried again every half minute at most. A static pod's status is written to its mirror.
"""

import logging
from typing import Any

from agent.pods.status import is_own, is_passing
from agent.pods.store import Pods
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Conflict, NotFound, ServiceUnavailable
from edgek.api.meta import Obj, is_deleting, key_of, resource_version, uid
from edgek.client.client import Client
from edgek.control.workqueue import WorkQueue
from edgek.kinds import POD
from edgek.kinds.pods import TERMINAL_PHASES

log = logging.getLogger(__name__)

WORKERS = 4
BEGUN_SECONDS = 0.5
"""How long it may wait to be told that a pod begins: most run by then, and the server is spared a
write to its disk for each."""
_BEGINS = ("ContainerCreating", "PodInitializing")
MAX_RETRY = 30.0
OWN_FIELDS = (
    "phase", "reason", "message", "hostIP", "hostIPs", "podIP", "podIPs", "startTime", "qosClass",
    "conditions", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses",
    "observedGeneration", "allocatedResources", "resources",
)  # fmt: skip


class StatusWriter:
    def __init__(self, client: Client, pods: Pods) -> None:
        self._client = client
        self._pods = pods
        self._wanted: dict[str, Obj] = {}
        self._finished: set[str] = set()
        self._queue: WorkQueue[str] = WorkQueue(max_delay=MAX_RETRY)

    def put(self, pod: Obj, status: Obj) -> None:
        if self._pods.is_static(uid(pod)):
            self._pods.keep_status(uid(pod), status)
        shown = self._pods.shown(uid(pod)) or pod
        if plan_patch(shown, status) or uid(pod) in self._wanted:
            self._wanted[uid(pod)] = status
            self._queue.add_after(uid(pod), BEGUN_SECONDS if only_begins(shown, status) else 0)

    def latest(self, pod: Obj) -> Obj:
        """The pod with what we know of its status, heard by a server or not."""
        status = self._wanted.get(uid(pod))
        return pod if status is None else pod | {"status": status}

    @property
    def idle(self) -> bool:
        """Whether the server has been told everything."""
        return not self._wanted and not self._finished

    def finish(self, pod: Obj) -> None:
        """Nothing of the pod is left here: its object may go, after its last status."""
        self._finished.add(uid(pod))
        self._queue.add(uid(pod))

    def forget(self, pod_uid: str) -> None:
        self._wanted.pop(pod_uid, None)
        self._finished.discard(pod_uid)

    async def run(self) -> None:
        async with Tasks("status") as tasks:
            for number in range(WORKERS):
                tasks.spawn(self._work(), name=f"writer-{number}")
            await tasks.wait()

    async def _work(self) -> None:
        while True:
            pod_uid = await self._queue.get()
            try:
                await self._write(pod_uid)
            except ApiError as err:
                quiet = isinstance(
                    err, Conflict | ServiceUnavailable
                )  # informers tell of the latter
                level = logging.DEBUG if quiet else logging.WARNING
                log.log(level, "pod status not written uid=%s err=%s", pod_uid, err)
                self._queue.add_rate_limited(pod_uid)
            else:
                self._queue.forget(pod_uid)
            finally:
                self._queue.done(pod_uid)

    async def _write(self, pod_uid: str) -> None:
        pod = self._pods.shown(pod_uid)
        if pod is None:  # without a mirror a static pod's status is kept with the pod
            self.forget(pod_uid)
            return
        wanted = status = self._wanted.get(pod_uid)
        if pod_uid in self._finished:
            status = last_status(pod, wanted)
        try:
            if status is not None and (patch := plan_patch(pod, status)):
                got = await self._client.patch(POD, key_of(pod), patch, subresource="status")
                self._pods.adopt(got, own=True)
            if self._wanted.get(pod_uid) is wanted:
                self._wanted.pop(pod_uid, None)
            if pod_uid in self._finished:
                await self._client.delete(
                    POD, key_of(pod), grace_period_seconds=0, preconditions={"uid": pod_uid}
                )
                self.forget(pod_uid)
        except Conflict:  # our informer may be late, as after an outage: look for ourselves
            self._pods.adopt(await self._client.get(POD, key_of(pod)), own=True)
            raise
        except NotFound:  # gone, or another pod has its name: the informer will say so
            self.forget(pod_uid)


def only_begins(pod: Obj, status: Obj) -> bool:
    """Whether a first status says no more than that the pod is being worked on."""
    if (pod.get("status") or {}).get("startTime") or status.get("phase") != "Pending":
        return False
    found = (status.get(f"{which}tatuses") or () for which in ("containerS", "initContainerS"))
    states = [c.get("state") or {} for some in found for c in some]
    return not status.get("reason") and all(
        (s.get("waiting") or {}).get("reason") in _BEGINS for s in states
    )


def last_status(pod: Obj, status: Obj | None) -> Obj | None:
    """What is gone before a container of it has ended has failed: whoever holds the pod by a
    finalizer, as Jobs do, waits for an end. As TerminatePod of the kubelet's status manager."""
    last = status or pod.get("status") or {}
    over = last.get("phase") in TERMINAL_PHASES or not is_deleting(pod)
    return status if over else {**last, "phase": "Failed"}


def plan_patch(pod: Obj, status: Obj) -> Obj:
    """A merge patch from the pod's status to ours; empty where nothing differs.

    Lists are replaced whole, and others keep conditions of their own in one, also while we are
    out of touch. So those are the pod's, not the ones there were when our status was made, and
    the patch holds only for the version that the pod is of.
    """
    old = pod.get("status") or {}
    if conditions := _with_foreign(status, old.get("conditions") or []):
        status = {**status, "conditions": conditions}
    changes: dict[str, Any] = {k: v for k, v in status.items() if old.get(k) != v}
    changes |= {k: None for k in OWN_FIELDS if k in old and k not in status}
    if not changes:
        return {}
    meta = {"uid": uid(pod)}
    if "conditions" in changes and resource_version(pod):
        meta["resourceVersion"] = resource_version(pod)
    return {"metadata": meta, "status": changes}


def _with_foreign(status: Obj, there: list[Obj]) -> list[Obj]:
    mine = {c["type"]: c for c in status.get("conditions") or () if is_own(c)}
    kept = [mine.pop(c["type"], c) for c in there if c["type"] in mine or not is_passing(c)]
    return [*kept, *mine.values()]
