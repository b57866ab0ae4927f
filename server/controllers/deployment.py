"""Deployment: rolls its pods from one template to the next through ReplicaSets.

Owns ReplicaSets: one per template it had, the newest scaled up while the others are scaled down
as its strategy allows; keeps ``revisionHistoryLimit`` empty ones for rollbacks. Never touches a
pod. Writes its own status and revision annotation. As pkg/controller/deployment/*.go; what to do
is decided in deployment_rollout.py, deployment_scaling.py and deployment_status.py, here it is
done, every write conditional on the version that was decided upon.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edgek.api.errors import NotFound
from edgek.api.meta import (
    Key,
    Obj,
    annotations,
    get_path,
    is_deleting,
    key_of,
    name,
    resource_version,
    uid,
)
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Result, owner_key
from edgek.control.informer import OWNER
from edgek.kinds import DEPLOYMENT, POD, REPLICA_SET
from edgek.kinds.pods import is_terminal
from server.controllers.adoption import adopters, claim, index_orphans, selector_of, still_there
from server.controllers.deployment_new_set import NewReplicaSet
from server.controllers.deployment_rollout import (
    Rollout,
    find_rollout,
    is_rolling,
    plan_cleanup,
    size_annotations,
)
from server.controllers.deployment_scaling import (
    Scale,
    is_scaling,
    plan_recreate,
    plan_rolling,
    plan_scale,
)
from server.controllers.deployment_status import (
    check_after,
    is_complete,
    pause_condition,
    plain_status,
    rollout_status,
)
from server.controllers.pod_control import replicas_of


class DeploymentController:
    """Brings the newest template to spec.replicas within the strategy's limits."""

    name = "deployment-controller"
    kind = DEPLOYMENT

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source(self.name)
        self._new_set = NewReplicaSet(context.client, context.clock, self._source)
        self._deployments = context.informers.get(DEPLOYMENT)
        self._sets = context.informers.get(REPLICA_SET)
        self._pods = context.informers.get(POD)
        index_orphans(self._sets)
        self.watches = (
            ForKind(DEPLOYMENT),
            OwnedBy(REPLICA_SET, owner=DEPLOYMENT),
            Mapped(REPLICA_SET, adopters(self._deployments), when=still_there),
            Mapped(POD, self._recreating, when=lambda old, new: new is None),
        )

    def _recreating(self, pod: Obj) -> Iterable[Key]:
        """A Recreate waits for the last old pod to be gone, which no ReplicaSet status tells."""
        set_key = owner_key(pod, REPLICA_SET)
        replica_set = self._sets.get(set_key) if set_key else None
        key = owner_key(replica_set, DEPLOYMENT) if replica_set else None
        deployment = self._deployments.get(key) if key else None
        return (key,) if key and deployment and not is_rolling(deployment) else ()

    async def reconcile(self, key: Key) -> Result:
        deployment = self._deployments.get(key)
        if deployment is None:  # its ReplicaSets are the garbage collector's
            return DONE
        kinds = (DEPLOYMENT, REPLICA_SET)
        sets = await claim(self._client, kinds, self._sets, deployment, selector_of(deployment))
        rollout = find_rollout(deployment, sets)
        if is_deleting(deployment):
            return await self._write_status(rollout, plain_status(rollout, self._clock.now()))
        if (paused := pause_condition(deployment, self._clock.now())) is not None:
            rollout = replace(rollout, progress=paused)
        if rollout.new is not None:
            rollout = await self._new_set.sync(rollout)
        if get_path(deployment, "spec", "paused") or is_scaling(rollout):
            return await self._sync_size(rollout)
        return await (self._roll(rollout) if is_rolling(deployment) else self._recreate(rollout))

    # The three ways forward

    async def _sync_size(self, rollout: Rollout) -> Result:
        """Only the size is brought up to date: a paused rollout stands, a scaled one goes on
        after this."""
        await self._apply(rollout.deployment, plan_scale(rollout))
        if get_path(rollout.deployment, "spec", "paused"):
            await self._cleanup(rollout)
        return await self._write_status(rollout, plain_status(rollout, self._clock.now()))

    async def _roll(self, rollout: Rollout) -> Result:
        if rollout.new is None:
            rollout = await self._new_set.create(rollout)
        if not await self._apply(rollout.deployment, plan_rolling(rollout)):
            await self._cleanup_when_complete(rollout)
        return await self._finish(rollout)

    async def _recreate(self, rollout: Rollout) -> Result:
        scales = plan_recreate(rollout)
        if await self._apply(rollout.deployment, scales) or self._old_pods_run(rollout):
            return await self._finish(rollout)
        if rollout.new is None:
            rollout = await self._new_set.create(rollout)
        if rollout.new is not None:
            size = Scale(replica_set=rollout.new, replicas=replicas_of(rollout.deployment))
            await self._apply(rollout.deployment, [size])
        await self._cleanup_when_complete(rollout)
        return await self._finish(rollout)

    def _old_pods_run(self, rollout: Rollout) -> bool:
        """Also while they terminate: the point of Recreate is that no two versions overlap."""
        if any(get_path(s, "status", "replicas", default=0) for s in rollout.old):
            return True
        pods = (p for s in rollout.old for p in self._pods.by_index(OWNER, uid(s)))
        return any(not is_terminal(pod) for pod in pods)

    # Doing

    async def _apply(self, deployment: Obj, scales: Sequence[Scale]) -> bool:
        """Whether any size changed; a ReplicaSet is also written when it was not told its
        Deployment's size yet."""
        for scale in scales:
            await self._scale(deployment, scale)
        return any(scale.changes for scale in scales)

    async def _scale(self, deployment: Obj, scale: Scale) -> None:
        old = scale.replica_set
        told = {**annotations(old), **size_annotations(deployment)}
        if not scale.changes and told == annotations(old):
            return
        meta = {**old["metadata"], "annotations": told}
        spec = {**old["spec"], "replicas": scale.replicas}
        await self._client.update(REPLICA_SET, {**old, "metadata": meta, "spec": spec})
        if scale.changes:
            before, after = replicas_of(old), scale.replicas
            way = "up" if after > before else "down"
            message = f"Scaled {way} replica set {name(old)} from {before} to {after}"
            self._source.normal(deployment, "ScalingReplicaSet", message)

    async def _cleanup_when_complete(self, rollout: Rollout) -> None:
        if is_complete(rollout.deployment, rollout.deployment.get("status") or {}):
            await self._cleanup(rollout)

    async def _cleanup(self, rollout: Rollout) -> None:
        for replica_set in plan_cleanup(rollout.deployment, rollout.old):
            only = {"uid": uid(replica_set), "resourceVersion": resource_version(replica_set)}
            try:
                await self._client.delete(REPLICA_SET, key_of(replica_set), preconditions=only)
            except NotFound:
                continue

    async def _finish(self, rollout: Rollout) -> Result:
        return await self._write_status(rollout, rollout_status(rollout, self._clock.now()))

    async def _write_status(self, rollout: Rollout, status: Obj) -> Result:
        deployment = rollout.deployment
        if status != deployment.get("status"):
            await self._client.update_status(DEPLOYMENT, {**deployment, "status": status})
        if get_path(deployment, "spec", "paused"):
            return DONE
        return Result(requeue_after=check_after(deployment, status, self._clock.now()))


def build(context: Context) -> DeploymentController:
    return DeploymentController(context)
