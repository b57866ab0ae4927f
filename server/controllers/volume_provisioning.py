"""Claims of our own classes: each gets a PersistentVolume that says where its directory is.

The directory itself is made by the node that mounts it first, so a claim is bound at once and
needs no helper. Claims come here when the binder asks for a provisioner by annotation, as it asks
any other (volume_claims.py). As sig-storage-lib-external-provisioner.
"""

from collections.abc import Sequence
from contextlib import suppress

from edgek.api.errors import AlreadyExists
from edgek.api.meta import Key, Obj, annotations, get_path, is_deleting, key_of, resource_version
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import NODE, STORAGE_CLASS
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.provisioned import PROVISIONERS
from edgek.kinds.storage_checks import class_of
from edgek.kinds.volume_match import PROVISIONER, SELECTED_NODE
from server.controllers.volume_provisioning_plan import Asked, Refused, plan_volume, volume_name

VOICE = "edgek-provisioner"
RETRY_SECONDS = 60.0
"""What is refused may be mended in the class, which does not tell."""


def is_asked(claim: Obj) -> bool:
    """Whether the binder waits for us."""
    return (
        annotations(claim).get(PROVISIONER) in PROVISIONERS
        and not get_path(claim, "spec", "volumeName")
        and not is_deleting(claim)
    )


class Provisioning:
    name = "volume-provisioner"
    kind = CLAIM

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._events = context.events.source(VOICE)
        self._claims = context.informers.get(CLAIM)
        self._volumes = context.informers.get(VOLUME)
        self._classes = context.informers.get(STORAGE_CLASS)
        self._nodes = context.informers.get(NODE)
        self.watches: Sequence[Watch] = (
            ForKind(CLAIM, when=lambda old, new: new is not None and is_asked(new)),
        )

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        if claim is None or not is_asked(claim):
            return DONE
        storage_class = self._classes.get(Key("", class_of(claim)))
        if storage_class is None or storage_class.get("provisioner") not in PROVISIONERS:
            return DONE  # the binder says so
        if self._volumes.get(Key("", volume_name(claim))) is not None:
            return DONE  # it is made, and only to be bound
        chosen = annotations(claim).get(SELECTED_NODE, "")
        node = self._nodes.get(Key("", chosen)) if chosen else None
        if chosen and node is None:
            await self._choose_again(claim)
            return DONE
        return await self._make(claim, Asked(claim, storage_class, node))

    async def _make(self, claim: Obj, asked: Asked) -> Result:
        try:
            volume = plan_volume(asked)
        except Refused as err:
            text = f'failed to provision volume with StorageClass "{class_of(claim)}": {err}'
            self._events.warning(claim, "ProvisioningFailed", text)
            return Result(requeue_after=RETRY_SECONDS)
        with suppress(AlreadyExists):
            await self._client.create(VOLUME, volume)
        text = f"Successfully provisioned volume {volume_name(claim)}"
        self._events.normal(claim, "ProvisioningSucceeded", text)
        return DONE

    async def _choose_again(self, claim: Obj) -> None:
        """The node is gone: the scheduler is to find another; as the external provisioner."""
        meta = {"annotations": {SELECTED_NODE: None}, "resourceVersion": resource_version(claim)}
        await self._client.patch(CLAIM, key_of(claim), {"metadata": meta})


def build(context: Context) -> Provisioning:
    return Provisioning(context)
