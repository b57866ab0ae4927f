"""The ReplicaSet of a Deployment's newest template: made, named, numbered.

Makes it where it is missing, and keeps its annotations and the revision of its Deployment in
step with its place in the history. Sizes are not decided here. As pkg/controller/deployment/
sync.go getNewReplicaSet.
"""

from dataclasses import replace

from edgek.aio.clock import Clock
from edgek.api.conditions import find_condition
from edgek.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from edgek.api.meta import (
    Obj,
    annotations,
    get_path,
    is_controlled_by,
    key_of,
    name,
    resource_version,
    uid,
)
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.kinds import DEPLOYMENT, REPLICA_SET
from server.controllers.deployment_rollout import (
    REVISION,
    Rollout,
    find_rollout,
    new_replica_set,
    revised_annotations,
)
from server.controllers.deployment_scaling import first_replicas
from server.controllers.deployment_status import (
    condition,
    conditions_of,
    deadline_seconds,
    set_condition,
)
from server.controllers.pod_control import is_namespace_terminating, replicas_of


class NewReplicaSet:
    """Both ways give the rollout as it is afterwards."""

    def __init__(self, client: Client, clock: Clock, source: Source) -> None:
        self._client = client
        self._clock = clock
        self._source = source

    async def sync(self, rollout: Rollout) -> Rollout:
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

    async def create(self, rollout: Rollout) -> Rollout:
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
