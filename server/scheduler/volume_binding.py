"""VolumeBinder: makes true what was decided on a pod's unbound claims, before it is bound.

As volumebinding AssumePodVolumes and BindPodVolumes: a volume gets its ``claimRef``, or a claim
the annotation that tells its provisioner for which node to make one. The volume controller does
the rest, and the pod waits here until all its claims are bound: by changes, not by looking.
"""

import asyncio
from dataclasses import dataclass, field

from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj, annotations, resource_version, uid
from edgek.client.client import Client
from edgek.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from server.scheduler.storage import (
    BOUND_BY_CONTROLLER,
    SELECTED_NODE,
    Storage,
    is_bound,
)
from server.scheduler.volume_choice import VolumeChoice

# As VolumeBindingArgs.bindTimeoutSeconds.
BIND_TIMEOUT = 600.0


class VolumesNotBound(Exception):
    """The claims will not be bound as it was decided; the pod has to be decided on anew."""


@dataclass
class _Wait:
    choice: VolumeChoice
    done: "asyncio.Future[None]"
    told: set[Key] = field(default_factory=set)
    """Claims of which the informer has shown that they know their node."""


def plan_claim_ref(volume: Obj, claim: Obj) -> Obj:
    """The patch that gives a volume to a claim; it fails if the volume changed meanwhile."""
    meta = claim["metadata"]
    ref = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": uid(claim),
        "resourceVersion": resource_version(claim),
    }
    own = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
    return {
        "metadata": own | {"resourceVersion": resource_version(volume)},
        "spec": {"claimRef": ref},
    }


class VolumeBinder:
    def __init__(self, client: Client, storage: Storage, *, timeout: float = BIND_TIMEOUT) -> None:
        self._client = client
        self._storage = storage
        self._timeout = timeout
        self._waits: dict[str, _Wait] = {}

    def assume(self, choice: VolumeChoice) -> None:
        for key, volume in choice.static:
            self._storage.taken[volume] = key
        for key in choice.provision:
            self._storage.chosen[key] = choice.node

    def revert(self, choice: VolumeChoice) -> None:
        for _, volume in choice.static:
            self._storage.taken.pop(volume, None)
        for key in choice.provision:
            self._storage.chosen.pop(key, None)

    async def write(self, choice: VolumeChoice) -> None:
        """Raises ApiError, among them Conflict where a volume is no longer free."""
        storage = self._storage
        for key, name in choice.static:
            volume, claim = storage.volumes.get(name), storage.claims.get(key)
            if volume is None or claim is None:
                raise VolumesNotBound("a volume or claim is gone")
            await self._client.patch(
                PERSISTENT_VOLUME, Key("", name), plan_claim_ref(volume, claim)
            )
        for key in choice.provision:
            claim = storage.claims.get(key)
            if claim is not None and annotations(claim).get(SELECTED_NODE) != choice.node:
                body = {"metadata": {"annotations": {SELECTED_NODE: choice.node}}}
                await self._client.patch(PERSISTENT_VOLUME_CLAIM, key, body)

    async def wait(self, pod_uid: str, choice: VolumeChoice) -> None:
        """Until all claims are bound. Raises VolumesNotBound, in upstream's words."""
        wait = _Wait(choice, asyncio.get_running_loop().create_future())
        self._waits[pod_uid] = wait
        try:
            self._look(wait)
            async with asyncio.timeout(self._timeout):
                await wait.done
        except TimeoutError:
            raise VolumesNotBound("context deadline exceeded") from None
        finally:
            self._waits.pop(pod_uid, None)

    def changed(self) -> None:
        """A claim or volume changed: whose wait is over?"""
        for wait in self._waits.values():
            self._look(wait)

    def gone(self, pod_uid: str) -> None:
        """The pod will not need them."""
        if (wait := self._waits.get(pod_uid)) is not None:
            _fail(wait, "pod is gone")

    def _look(self, wait: _Wait) -> None:
        if wait.done.done():
            return
        claims = [self._storage.claims.get(key) for key in wait.choice.claims]
        for key, claim in zip(wait.choice.claims, claims, strict=True):
            if claim is None:
                _fail(wait, f'persistentvolumeclaim "{key.name}" not found')
                return
        if all(claim is not None and is_bound(claim) for claim in claims):
            wait.done.set_result(None)
            return
        self._look_at_nodes(wait)

    def _look_at_nodes(self, wait: _Wait) -> None:
        """A provisioner that cannot make the volume there takes the annotation away.

        NB: until the informer has shown our own write, its absence means nothing.
        """
        for key in wait.choice.provision:
            claim = self._storage.claims[key]
            selected = annotations(claim).get(SELECTED_NODE)
            if selected == wait.choice.node:
                wait.told.add(key)
            elif key in wait.told and not is_bound(claim):
                _fail(wait, f'selectedNode annotation reset for PVC "{key.name}"')


def _fail(wait: _Wait, why: str) -> None:
    if not wait.done.done():
        wait.done.set_exception(VolumesNotBound(why))


async def bind_volumes(
    binder: VolumeBinder, pod_uid: str, choice: VolumeChoice, slots: asyncio.Semaphore
) -> None:
    """Writes, and waits without holding a slot. Raises VolumesNotBound for every failure."""
    try:
        await binder.write(choice)
    except ApiError as err:
        raise VolumesNotBound(str(err)) from err
    slots.release()
    try:
        await binder.wait(pod_uid, choice)
    finally:
        await slots.acquire()
