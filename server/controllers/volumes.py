"""Volumes: each says whether it is free, bound, or what becomes of it without its claim.

Writes phases, and lets go of claims that are bound elsewhere; whether a claim is gone is asked
of the server, because what follows cannot be undone. Deleting what is stored is the
provisioner's. As pkg/controller/volume/persistentvolume syncVolume; the plan is in
``volume_binding_plan``, the claims' side in ``volume_claims``.
"""

from collections.abc import Iterable, Sequence

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, annotations, get_path, key_of, uid
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.volume_match import BOUND_BY_CONTROLLER, claim_ref
from server.controllers.volume_binding_plan import VolumePlan, plan_volume, released_ref

VOICE = "persistentvolume-controller"
BY_CLAIM_REF = "claim-ref"


def _claim_key(volume: Obj) -> Key | None:
    ref = claim_ref(volume)
    return None if ref is None else Key(ref.get("namespace") or "", ref.get("name") or "")


def index_by_claim_ref(volume: Obj) -> Sequence[str]:
    key = _claim_key(volume)
    return () if key is None else (str(key),)


def with_phase(volume: Obj, phase: str, *, now: str, message: str = "") -> Obj:
    """The volume itself where it says so already; as updateVolumePhase."""
    old = volume.get("status") or {}
    if old.get("phase") == phase:
        return volume
    status = {"phase": phase, "lastPhaseTransitionTime": now}
    return {**volume, "status": status | ({"message": message} if message else {})}


class Volumes:
    name = "persistentvolume-controller"
    kind = VOLUME

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source(VOICE)
        self._claims = context.informers.get(CLAIM)
        self._volumes = context.informers.get(VOLUME)
        self._volumes.add_index(BY_CLAIM_REF, index_by_claim_ref)
        self.watches: Sequence[Watch] = (ForKind(VOLUME), Mapped(CLAIM, self._of_claim))

    def _of_claim(self, claim: Obj) -> Iterable[Key]:
        named = get_path(claim, "spec", "volumeName", default="")
        keys = [key_of(v) for v in self._volumes.by_index(BY_CLAIM_REF, str(key_of(claim)))]
        return [*keys, Key("", named)] if named else keys

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is None:
            return DONE
        plan = plan_volume(volume, await self._claim(volume))
        if plan.unbind:
            volume = await self._unbind(volume)
        if plan.phase:
            await self._write_phase(volume, plan)
        return DONE

    async def _claim(self, volume: Obj) -> Obj | None:
        """The very claim that the volume names."""
        ref, key = claim_ref(volume), _claim_key(volume)
        if ref is None or key is None or not ref.get("uid"):
            return None
        claim = self._claims.get(key)
        if claim is None or uid(claim) != ref["uid"]:
            try:
                claim = await self._client.get(CLAIM, key)
            except NotFound:
                return None
        return claim if uid(claim) == ref["uid"] else None

    async def _unbind(self, volume: Obj) -> Obj:
        marks = {k: v for k, v in annotations(volume).items() if k != BOUND_BY_CONTROLLER}
        meta = {**volume["metadata"], "annotations": marks}
        spec = {**volume["spec"], "claimRef": released_ref(volume)}
        spec = {k: v for k, v in spec.items() if v is not None}
        return await self._client.update(VOLUME, {**volume, "metadata": meta, "spec": spec})

    async def _write_phase(self, volume: Obj, plan: VolumePlan) -> None:
        now, said = format_time(self._clock.now()), plan.said
        wanted = with_phase(volume, plan.phase, now=now, message=said.message if said else "")
        if wanted is volume:
            return
        await self._client.update_status(VOLUME, wanted)
        if said is not None:
            self._events.warning(volume, said.reason, said.message)


def build(context: Context) -> Volumes:
    return Volumes(context)
