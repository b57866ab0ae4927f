"""ReplicaSet: keeps as many pods of its template as spec.replicas says.

Owns Pods: creates and deletes its own, adopts orphans its selector matches, releases what it no
longer matches; never touches a pod of another controller. Writes its own status. As
pkg/controller/replicaset/replica_set.go; replication_controller.py is the same for its kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edgek.api.conditions import find_condition
from edgek.api.errors import ApiError
from edgek.api.meta import (
    Key,
    Obj,
    controller_of,
    generation,
    get_path,
    is_deleting,
    labels,
    uid,
)
from edgek.api.selectors import from_match_labels
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Result
from edgek.control.informer import OWNER
from edgek.kinds import POD, REPLICA_SET, REPLICATION_CONTROLLER
from edgek.kinds.kind import Kind
from edgek.kinds.pods import available_after, is_active, is_available, is_ready, is_terminal
from server.controllers.adoption import adopters, claim, index_orphans, selector_of, still_there
from server.controllers.deletion_order import pods_to_delete
from server.controllers.pod_control import BURST, PodControl, pod_from_template, replicas_of


@dataclass(frozen=True, kw_only=True)
class ReplicaPlan:
    """At most one of the two is not empty."""

    create: int = 0
    delete: Sequence[Obj] = ()


def plan_replicas(
    replica_set: Obj, active: Sequence[Obj], related: Sequence[Obj], now: datetime
) -> ReplicaPlan:
    """``related`` are all active pods of the ReplicaSet's siblings: pods doubled up with them
    on one node are deleted first."""
    missing = replicas_of(replica_set) - len(active)
    if missing >= 0:
        return ReplicaPlan(create=min(missing, BURST))
    return ReplicaPlan(delete=pods_to_delete(active, related, min(-missing, BURST), now))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why pods could not be made or deleted; shows as condition ReplicaFailure."""

    reason: str
    message: str


def replica_set_status(
    replica_set: Obj, pods: Sequence[Obj], failure: Failure | None, now: datetime
) -> Obj:
    """The status that the pods amount to, as replica_set_utils.go calculateStatus."""
    template = from_match_labels(_template_labels(replica_set))
    min_ready = get_path(replica_set, "spec", "minReadySeconds", default=0)
    active = [p for p in pods if is_active(p)]
    ready = [p for p in active if is_ready(p)]
    available = [p for p in ready if is_available(p, min_ready, now)] if min_ready else ready
    status: Obj = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template.matches(labels(p)) for p in active),
        "readyReplicas": len(ready),
        "availableReplicas": len(available),
    }
    # Counts of zero are left out on the wire, but for these two.
    status = {k: v for k, v in status.items() if v or k == "replicas"}
    if replica_set.get("kind") != REPLICATION_CONTROLLER.kind:  # its status has no such field
        gone = len(pods) - len(active)
        terminating = sum(is_deleting(p) and not is_terminal(p) for p in pods) if gone else 0
        status["terminatingReplicas"] = terminating
    status["observedGeneration"] = generation(replica_set)
    conditions = _conditions(replica_set, failure, now)
    return status | ({"conditions": conditions} if conditions else {})


def _template_labels(obj: Obj) -> dict[str, str]:
    found: dict[str, str] = get_path(obj, "spec", "template", "metadata", "labels", default={})
    return found


def _conditions(replica_set: Obj, failure: Failure | None, now: datetime) -> list[Any]:
    """A failure that is shown already stays as it is; success takes it away."""
    old = get_path(replica_set, "status", "conditions", default=[])
    if failure is None:
        return [c for c in old if c.get("type") != "ReplicaFailure"]
    if find_condition(old, "ReplicaFailure") is not None:
        return list(old)
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": format_time(now),
        "reason": failure.reason,
        "message": failure.message,
    }
    return [*old, condition]


class ReplicaSetController:
    """Keeps the number of active pods of objects of ``kind`` at spec.replicas."""

    def __init__(self, context: Context, kind: Kind, *, name: str, source: str) -> None:
        self.name = name
        self.kind = kind
        self._client = context.client
        self._clock = context.clock
        self._sets = context.informers.get(kind)
        self._pods = context.informers.get(POD)
        index_orphans(self._pods)
        self._control = PodControl(context, kind, context.events.source(source))
        self.watches = (
            ForKind(kind),
            OwnedBy(POD, owner=kind),
            Mapped(POD, adopters(self._sets), when=still_there),
        )

    async def reconcile(self, key: Key) -> Result:
        replica_set = self._sets.get(key)
        if replica_set is None:  # its pods are the garbage collector's
            return DONE
        waiting = self._control.waiting(replica_set)
        pods = await claim(
            self._client, (self.kind, POD), self._pods, replica_set, selector_of(replica_set)
        )
        failed: ApiError | None = None
        failure = None
        if not waiting and not is_deleting(replica_set):
            active = [p for p in pods if is_active(p)]
            surplus = len(active) > replicas_of(replica_set)
            related = self._related(replica_set) if surplus else ()
            plan = plan_replicas(replica_set, active, related, self._clock.now())
            try:
                await self._apply(replica_set, plan)
            except ApiError as err:
                failed = err
                reason = "FailedCreate" if plan.create else "FailedDelete"
                failure = Failure(reason=reason, message=str(err))
        await self._write_status(replica_set, pods, failure)
        if failed is not None:
            raise failed
        return self._next(replica_set, pods, waiting)

    async def _apply(self, replica_set: Obj, plan: ReplicaPlan) -> None:
        if plan.create:
            template = replica_set["spec"]["template"]
            pod = pod_from_template(template, replica_set)
            await self._control.create(replica_set, [pod] * plan.create)
        if plan.delete:
            await self._control.delete(replica_set, plan.delete)

    async def _write_status(
        self, replica_set: Obj, pods: Sequence[Obj], failure: Failure | None
    ) -> None:
        status = replica_set_status(replica_set, pods, failure, self._clock.now())
        if status != replica_set.get("status"):
            await self._client.update_status(self.kind, {**replica_set, "status": status})

    def _related(self, replica_set: Obj) -> list[Obj]:
        """Active pods of all ReplicaSets with the same controller: of one Deployment."""
        ref = controller_of(replica_set)
        siblings = self._sets.by_index(OWNER, ref["uid"]) if ref else [replica_set]
        found = (pod for s in siblings for pod in self._pods.by_index(OWNER, uid(s)))
        return [pod for pod in found if is_active(pod)]

    def _next(self, replica_set: Obj, pods: Sequence[Obj], waiting: float) -> Result:
        """Pods become available by time alone: look again when the next one does."""
        min_ready = get_path(replica_set, "spec", "minReadySeconds", default=0)
        now = self._clock.now()
        waits = [available_after(p, min_ready, now) for p in pods] if min_ready else []
        seconds = [w.total_seconds() for w in waits if w]
        if waiting:
            seconds.append(waiting)
        return Result(requeue_after=min(seconds)) if seconds else DONE


def build(context: Context) -> ReplicaSetController:
    name = "replicaset-controller"
    return ReplicaSetController(context, REPLICA_SET, name=name, source=name)
