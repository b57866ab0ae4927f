"""DaemonSet: one pod of its template on every node that fits.

Owns Pods (one per node, placed by the scheduler through affinity to the node's name) and
ControllerRevisions (the history of its template); writes its own status. As
pkg/controller/daemon; what to do is decided in daemonset_plan.py and daemonset_nodes.py.
"""

import asyncio
from collections.abc import Iterable

from edgek.aio.clock import Clock
from edgek.api.meta import Key, Obj, is_deleting, key_of, uid
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Reads, Result
from edgek.kinds import CONTROLLER_REVISION, DAEMON_SET, NODE, POD
from edgek.kinds.pods import available_after
from server.controllers.adoption import adopters, claim, index_orphans, selector_of, still_there
from server.controllers.controller_revision import History, hash_label, plan_history_cleanup
from server.controllers.daemonset_nodes import daemon_pod, fit_changed
from server.controllers.daemonset_plan import (
    DaemonPlan,
    Daemons,
    daemon_set_status,
    is_rolling,
    plan_manage,
    plan_rolling_update,
    pods_by_node,
)
from server.controllers.pod_control import PodControl
from server.controllers.revision_control import RevisionControl

BURST = 250
"""The most creations and the most deletions in one reconcile (BurstReplicas)."""
FIRST_BACK_OFF, MAX_BACK_OFF = 1.0, 900.0


class FailedPods:
    """How long a pod that failed on a node is left alone: doubling, forgotten after quiet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: dict[tuple[str, str], tuple[float, float]] = {}

    def left(self, owner: str, node: str) -> float:
        since, wait = self._waits.get((owner, node), (0.0, 0.0))
        return max(0.0, since + wait - self._clock.monotonic())

    def failed(self, owner: str, node: str) -> None:
        now = self._clock.monotonic()
        fresh = {k: v for k, v in self._waits.items() if now - v[0] <= 2 * MAX_BACK_OFF}
        _, wait = fresh.get((owner, node), (now, FIRST_BACK_OFF / 2))
        self._waits = fresh | {(owner, node): (now, min(wait * 2, MAX_BACK_OFF))}


class DaemonSetController:
    """Keeps one pod of the newest template on every fitting node."""

    name = "daemonset-controller"
    kind = DAEMON_SET

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source(self.name)
        self._sets = context.informers.get(DAEMON_SET)
        self._pods = context.informers.get(POD)
        self._nodes = context.informers.get(NODE)
        self._revisions = RevisionControl(context, DAEMON_SET)
        index_orphans(self._pods)
        self._failed = FailedPods(context.clock)
        self._control = PodControl(context, DAEMON_SET, self._source)
        self.watches = (
            ForKind(DAEMON_SET),
            OwnedBy(POD, owner=DAEMON_SET),
            Mapped(POD, adopters(self._sets), when=still_there),
            Mapped(NODE, self._all, when=fit_changed),
            Reads(CONTROLLER_REVISION),
        )

    def _all(self, node: Obj) -> Iterable[Key]:
        return [key_of(s) for s in self._sets.list()]

    async def reconcile(self, key: Key) -> Result:
        daemon_set = self._sets.get(key)
        if daemon_set is None or is_deleting(daemon_set):  # the garbage collector's
            return DONE
        history, current = await self._revisions.history(daemon_set)
        kinds, selector = (DAEMON_SET, POD), selector_of(daemon_set)
        pods = await claim(self._client, kinds, self._pods, daemon_set, selector)
        daemons = Daemons(
            daemon_set=daemon_set,
            nodes=self._nodes.list(),
            pods=pods_by_node(pods),
            revision_hash=hash_label(current),
            now=self._clock.now(),
            back_off=lambda node: self._failed.left(uid(daemon_set), node),
        )
        if waiting := self._control.waiting(daemon_set):
            await self._write_status(daemons, synced=False)
            return Result(requeue_after=waiting)
        try:
            look_again = await self._sync(daemons, history)
        except Exception:  # not where this loop is ended: it ends at once
            await self._write_status(daemons, synced=False)
            raise
        await self._write_status(daemons, synced=True)
        return self._next(daemons, look_again)

    async def _sync(self, daemons: Daemons, history: History) -> list[float]:
        plan = plan_manage(daemons)
        for notice in plan.notices:
            say = self._source.warning if notice.warning else self._source.normal
            say(daemons.daemon_set, notice.reason, notice.message)
        for node in plan.failed:
            self._failed.failed(uid(daemons.daemon_set), node)
        await self._apply(daemons, plan)
        # Replacements are planned on what is seen, and what is seen here is from before the writes
        # above: a node whose pod was just made would count as well. Their changes lead back here.
        if is_rolling(daemons.daemon_set) and not (plan.create or plan.delete):
            await self._apply(daemons, plan_rolling_update(daemons))
        await self._clean_history(daemons, history)
        return plan.look_again

    async def _apply(self, daemons: Daemons, plan: DaemonPlan) -> None:
        daemon_set, nodes = daemons.daemon_set, plan.create[:BURST]
        pods = [daemon_pod(daemon_set, node, daemons.revision_hash) for node in nodes]
        results = await asyncio.gather(
            self._control.create(daemon_set, pods),
            self._control.delete(daemon_set, plan.delete[:BURST]),
            return_exceptions=True,
        )
        for result in results:
            if result is not None:
                raise result

    async def _write_status(self, daemons: Daemons, *, synced: bool) -> None:
        daemon_set = daemons.daemon_set
        status = daemon_set_status(daemons, synced=synced)
        if status != daemon_set.get("status"):
            await self._client.update_status(DAEMON_SET, {**daemon_set, "status": status})

    def _next(self, daemons: Daemons, look_again: list[float]) -> Result:
        """Pods become available, and failed ones may be replaced, by time alone."""
        pods = (p for found in daemons.pods.values() for p in found)
        waits = (available_after(p, daemons.min_ready, daemons.now) for p in pods)
        seconds = [w.total_seconds() for w in waits if w] + look_again
        return Result(requeue_after=min(seconds)) if seconds else DONE

    async def _clean_history(self, daemons: Daemons, history: History) -> None:
        pods = (p for found in daemons.pods.values() for p in found)
        live = {hash_label(pod) for pod in pods}
        await self._revisions.remove(plan_history_cleanup(daemons.daemon_set, history, live))


def build(context: Context) -> DaemonSetController:
    return DaemonSetController(context)
