"""Deployment: rolls its pods from one template to the next through ReplicaSets.

Owns ReplicaSets: one per template it had, the newest scaled up while the others are scaled down
as its strategy allows; keeps ``revisionHistoryLimit`` empty ones for rollbacks. Never touches a
pod. Writes its own status and revision annotation. As pkg/controller/deployment/*.go; what to do
is decided in deployment_rollout.py, deployment_scaling.py and deployment_status.py, here it is
done, every write conditional on the version that was decided upon.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edgek.api.conditions import find_condition
from edgek.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from edgek.api.meta import (
    Key,
    Obj,
    annotations,
    controller_of,
    get_path,
    is_controlled_by,
    is_deleting,
    key_of,
    labels,
    name,
    namespace,
    resource_version,
    uid,
)
from edgek.api.selectors import Selector, from_label_selector
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Result, owner_key
from edgek.control.informer import OWNER
from edgek.kinds import DEPLOYMENT, POD, REPLICA_SET
from edgek.kinds.pods import is_terminal
from server.controllers.adoption import claim, index_orphans
from server.controllers.deployment_rollout import (
    REVISION,
    Rollout,
    find_rollout,
    is_rolling,
    new_replica_set,
    plan_cleanup,
    replicas_of,
    revised_annotations,
    size_annotations,
)
from server.controllers.deployment_scaling import (
    Scale,
    first_replicas,
    is_scaling,
    plan_recreate,
    plan_rolling,
    plan_scale,
)
from server.controllers.deployment_status import (
    check_after,
    condition,
    conditions_of,
    deadline_seconds,
    is_complete,
    pause_condition,
    plain_status,
    rollout_status,
    set_condition,
)
from server.controllers.pod_control import is_namespace_terminating


class DeploymentController:
    """Brings the newest template to spec.replicas within the strategy's limits."""

    name = "deployment-controller"
    kind = DEPLOYMENT

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source(self.name)
        self._deployments = context.informers.get(DEPLOYMENT)
        self._sets = context.informers.get(REPLICA_SET)
        self._pods = context.informers.get(POD)
        index_orphans(self._sets)
        self.watches = (
            ForKind(DEPLOYMENT),
            OwnedBy(REPLICA_SET, owner=DEPLOYMENT),
            Mapped(REPLICA_SET, self._adopters, when=lambda old, new: new is not None),
            Mapped(POD, self._recreating, when=lambda old, new: new is None),
        )

    def _adopters(self, replica_set: Obj) -> Iterable[Key]:
        if controller_of(replica_set) is not None:
            return ()
        found = self._deployments.list(namespace(replica_set))
        return [key_of(d) for d in found if _selector(d).matches(labels(replica_set))]

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
        sets = await claim(self._client, kinds, self._sets, deployment, _selector(deployment))
        rollout = find_rollout(deployment, sets)
        if is_deleting(deployment):
            return await self._write_status(rollout, plain_status(rollout, self._clock.now()))
        if (paused := pause_condition(deployment, self._clock.now())) is not None:
            rollout = replace(rollout, progress=paused)
        if rollout.new is not None:
            rollout = await self._sync_revision(rollout)
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
            rollout = await self._create(rollout)
        if not await self._apply(rollout.deployment, plan_rolling(rollout)):
            await self._cleanup_when_complete(rollout)
        return await self._finish(rollout)

    async def _recreate(self, rollout: Rollout) -> Result:
        scales = plan_recreate(rollout)
        if await self._apply(rollout.deployment, scales) or self._old_pods_run(rollout):
            return await self._finish(rollout)
        if rollout.new is None:
            rollout = await self._create(rollout)
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

    # The new ReplicaSet

    async def _sync_revision(self, rollout: Rollout) -> Rollout:
        """Carries annotations and minReadySeconds over to the new ReplicaSet, its revision back
        to the Deployment."""
        new, deployment = rollout.new, rollout.deployment
        assert new is not None
        wanted = revised_annotations(rollout)
        min_ready = get_path(deployment, "spec", "minReadySeconds", default=0)
        if wanted != annotations(new) or min_ready != new["spec"].get("minReadySeconds", 0):
            meta = {**new["metadata"], "annotations": wanted}
            spec = {**new["spec"], "minReadySeconds": min_ready}
            new = await self._client.update(REPLICA_SET, {**new, "metadata": meta, "spec": spec})
        rollout = replace(rollout, new=new)
        if find_condition(conditions_of(deployment), "Progressing") is None:
            message = f'Found new replica set "{name(new)}"'
            rollout = self._progressed(rollout, "FoundNewReplicaSet", message)
        return await self._sync_own_revision(rollout)

    def _progressed(self, rollout: Rollout, reason: str, message: str) -> Rollout:
        if deadline_seconds(rollout.deployment) is None or rollout.progress is not None:
            return rollout
        now = self._clock.now()
        return replace(rollout, progress=condition("Progressing", "True", reason, message, now=now))

    async def _sync_own_revision(self, rollout: Rollout) -> Rollout:
        assert rollout.new is not None
        deployment = rollout.deployment
        revision = annotations(rollout.new).get(REVISION, "")
        if annotations(deployment).get(REVISION, "") == revision:
            return rollout
        version = resource_version(deployment)
        meta = {"resourceVersion": version, "annotations": {REVISION: revision}}
        fresh = await self._client.patch(DEPLOYMENT, key_of(deployment), {"metadata": meta})
        return replace(rollout, deployment=fresh)

    async def _create(self, rollout: Rollout) -> Rollout:
        """Makes the new ReplicaSet, or finds that another run of ours has made it."""
        deployment = rollout.deployment
        wanted = new_replica_set(rollout, first_replicas(rollout))
        try:
            new = await self._client.create(REPLICA_SET, wanted)
        except AlreadyExists:
            return await self._sync_own_revision(await self._found(rollout, wanted))
        except ApiError as err:
            await self._failed(rollout, wanted, err)
            raise
        if replicas_of(new):
            message = f"Scaled up replica set {name(new)} from 0 to {replicas_of(new)}"
            self._source.normal(deployment, "ScalingReplicaSet", message)
        message = f'Created new replica set "{name(new)}"'
        rollout = self._progressed(replace(rollout, new=new), "NewReplicaSetCreated", message)
        return await self._sync_own_revision(rollout)

    async def _found(self, rollout: Rollout, wanted: Obj) -> Rollout:
        """The name is taken: by our own ReplicaSet which the cache has not shown yet, or by a
        stranger of equal hash, and then ``collisionCount`` gives us another name next time."""
        deployment = rollout.deployment
        try:
            existing = await self._client.get(REPLICA_SET, key_of(wanted))
        except NotFound as err:
            raise Conflict.of(REPLICA_SET, name(wanted)) from err
        if is_controlled_by(existing, deployment):
            found = find_rollout(deployment, [existing, *rollout.old])
            if found.new is not None and uid(found.new) == uid(existing):
                return replace(rollout, new=existing)
        status: Obj = {**(deployment.get("status") or {})}
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        await self._client.update_status(DEPLOYMENT, {**deployment, "status": status})
        raise AlreadyExists.of(REPLICA_SET, name(wanted))

    async def _failed(self, rollout: Rollout, wanted: Obj, err: ApiError) -> None:
        """Shows users why there is no new ReplicaSet."""
        if is_namespace_terminating(err):
            return
        deployment, now = rollout.deployment, self._clock.now()
        message = f'Failed to create new replica set "{name(wanted)}": {err}'
        self._source.warning(deployment, "ReplicaSetCreateError", message)
        if deadline_seconds(deployment) is None:
            return
        failed = condition("Progressing", "False", "ReplicaSetCreateError", message, now=now)
        old = deployment.get("status") or {}
        conditions = set_condition(conditions_of(deployment), failed)
        if conditions != conditions_of(deployment):
            status = {**old, "conditions": conditions}
            await self._client.update_status(DEPLOYMENT, {**deployment, "status": status})

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


def _selector(obj: Obj) -> Selector:
    return from_label_selector(get_path(obj, "spec", "selector"))


def build(context: Context) -> DeploymentController:
    return DeploymentController(context)
