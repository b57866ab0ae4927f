"""Ephemeral volumes: each gets its claim, made from the pod's template and owned by the pod.

The claim goes with the pod, by the garbage collector. A claim of the same name that belongs to
somebody else is left alone and told of. As pkg/controller/volume/ephemeral.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from edgek.api.errors import AlreadyExists, ApiError
from edgek.api.meta import (
    Key,
    Obj,
    get_path,
    is_controlled_by,
    is_deleting,
    name,
    namespace,
    owner_reference,
)
from edgek.control.controller import DONE, Context, ForKind, OwnedBy, Result, Watch
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import POD
from edgek.kinds.pods import is_terminal


def ephemeral_volumes(pod: Obj) -> Iterator[Obj]:
    for volume in get_path(pod, "spec", "volumes", default=()):
        if volume.get("ephemeral") is not None:
            yield volume


def claim_for(pod: Obj, volume: Obj) -> Obj:
    """The claim of one ephemeral volume."""
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    given = template.get("metadata") or {}
    meta = {field: given[field] for field in ("labels", "annotations") if given.get(field)}
    meta |= {"name": f"{name(pod)}-{volume['name']}", "namespace": namespace(pod)}
    meta["ownerReferences"] = [owner_reference(pod)]
    spec = template.get("spec") or {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


class EphemeralVolumes:
    name = "ephemeral-volume-controller"
    kind = POD

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events.source("ephemeral_volume")
        self._pods = context.informers.get(POD)
        self._claims = context.informers.get(CLAIM)
        self.watches: Sequence[Watch] = (
            ForKind(POD, when=_is_new),
            OwnedBy(CLAIM, owner=POD, when=lambda old, new: new is None),
        )

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or is_deleting(pod) or is_terminal(pod):
            return DONE
        for volume in ephemeral_volumes(pod):
            try:
                await self._claim(pod, volume)
            except ApiError as err:
                text = f"ephemeral volume {volume['name']}: create PVC: {err}"
                self._events.warning(pod, "FailedBinding", text)
                raise
        return DONE

    async def _claim(self, pod: Obj, volume: Obj) -> None:
        wanted = claim_for(pod, volume)
        found = self._claims.get(Key(namespace(pod), name(wanted)))
        if found is None:
            with suppress(AlreadyExists):  # made by us and not seen yet, or not ours: told then
                await self._client.create(CLAIM, wanted)
        elif not is_controlled_by(found, pod):
            text = (
                f"ephemeral volume {volume['name']}: PVC {namespace(pod)}/{name(wanted)} was not "
                f"created for pod {namespace(pod)}/{name(pod)} (pod is not owner)"
            )
            self._events.warning(pod, "FailedBinding", text)


def _is_new(old: Obj | None, new: Obj | None) -> bool:
    """Nothing that changes in a pod's life changes its volumes."""
    return old is None and new is not None and any(True for _ in ephemeral_volumes(new))


def build(context: Context) -> EphemeralVolumes:
    return EphemeralVolumes(context)
