"""Claims: each gets a volume that suits it, or a provisioner is asked for one.

Binds by writing the volume's side first and the claim's last, each on condition of the version
that was looked at; wherever that is cut, the next look goes on from there. Provisioners are
others: they are told by annotations. What to do is decided in ``volume_binding_plan``; the
volumes' own phases are ``volumes``'. As pkg/controller/volume/persistentvolume syncClaim.
"""

from collections.abc import Iterable, Sequence

from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj, annotations, get_path, key_of, name, resource_version, uid
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import NODE, POD, STORAGE_CLASS
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.pods import claims_of, is_terminal, node_name
from edgek.kinds.storage_checks import class_of
from edgek.kinds.volume_match import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONER,
    SELECTED_NODE,
    asked,
    claim_ref,
    has_completed,
    is_for,
)
from server.controllers.pvc_protection import BY_CLAIM, index_by_claim
from server.controllers.volume_binding_plan import ClaimPlan, Seen, plan_claim
from server.controllers.volumes import BY_CLAIM_REF, VOICE, index_by_claim_ref, with_phase

UNBOUND = "unbound"
"""The index of claims that look for a volume, by class."""
BY_VOLUME = "volume"
"""The index of claims by the volume they name."""
BY_CLASS = "class"


def _index_unbound(claim: Obj) -> Sequence[str]:
    wants = get_path(claim, "spec", "volumeName", default="")
    return () if wants or has_completed(claim) else (class_of(claim),)


def _index_volume(claim: Obj) -> Sequence[str]:
    wants = get_path(claim, "spec", "volumeName", default="")
    return (wants,) if wants else ()


def bound_volume(volume: Obj, claim: Obj) -> Obj:
    """The volume with the claim's name in it; as GetBindVolumeToClaim."""
    if is_for(volume, claim) and (claim_ref(volume) or {}).get("uid"):
        return volume
    ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **key_of(claim)._asdict()}
    ref |= {"uid": uid(claim), "resourceVersion": resource_version(claim)}
    meta = volume["metadata"]
    if not is_for(volume, claim):
        meta = {**meta, "annotations": {**annotations(volume), BOUND_BY_CONTROLLER: "yes"}}
    return {**volume, "metadata": meta, "spec": {**volume["spec"], "claimRef": ref}}


def bound_claim(claim: Obj, volume: Obj) -> Obj:
    """The claim with the volume's name in it, and the mark that both sides are written."""
    added = {} if has_completed(claim) else {BIND_COMPLETED: "yes"}
    if get_path(claim, "spec", "volumeName") != name(volume):
        added[BOUND_BY_CONTROLLER] = "yes"
    elif not added:
        return claim
    meta = {**claim["metadata"], "annotations": {**annotations(claim), **added}}
    return {**claim, "metadata": meta, "spec": {**claim["spec"], "volumeName": name(volume)}}


def claim_status(claim: Obj, phase: str, volume: Obj | None) -> Obj:
    """As updateClaimStatus: sizes are taken over once, others tell of them afterwards."""
    old: Obj = claim.get("status") or {}
    status = {**old, "phase": phase}
    if volume is None:
        if phase == "Pending":
            for field in ("accessModes", "capacity"):
                status.pop(field, None)
        return status
    status["accessModes"] = volume["spec"].get("accessModes") or []
    if old.get("phase") != phase:
        status["capacity"] = volume["spec"].get("capacity") or {}
        if attributes := volume["spec"].get("volumeAttributesClassName"):
            status["currentVolumeAttributesClassName"] = attributes
    return status


class VolumeClaims:
    name = "persistentvolume-binder-controller"
    kind = CLAIM

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.events.source(VOICE)
        self._claims = context.informers.get(CLAIM)
        self._claims.add_index(UNBOUND, _index_unbound)
        self._claims.add_index(BY_VOLUME, _index_volume)
        self._volumes = context.informers.get(VOLUME)
        self._volumes.add_index(BY_CLASS, lambda volume: (class_of(volume),))
        self._volumes.add_index(BY_CLAIM_REF, index_by_claim_ref)
        self._classes = context.informers.get(STORAGE_CLASS)
        self._nodes = context.informers.get(NODE)
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_CLAIM, index_by_claim)
        self.watches: Sequence[Watch] = (
            ForKind(CLAIM),
            Mapped(VOLUME, self._wanted_by),
            Mapped(STORAGE_CLASS, self._of_class),
            Mapped(POD, self._waiting, when=_placed),
        )

    def _wanted_by(self, volume: Obj) -> Iterable[Key]:
        """Who has the volume, who asks for it, or all who could."""
        keys = [key_of(c) for c in self._claims.by_index(BY_VOLUME, name(volume))]
        if ref := claim_ref(volume):
            return [*keys, Key(ref.get("namespace") or "", ref.get("name") or "")]
        found = self._claims.by_index(UNBOUND, class_of(volume))
        return [*keys, *(key_of(c) for c in found)]

    def _of_class(self, storage_class: Obj) -> Iterable[Key]:
        """Those without a class too: it may be the default one."""
        for named in (name(storage_class), ""):
            yield from (key_of(c) for c in self._claims.by_index(UNBOUND, named))

    def _waiting(self, pod: Obj) -> Iterable[Key]:
        for key in claims_of(pod):
            claim = self._claims.get(key)
            if claim is not None and not has_completed(claim):
                yield key

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        if claim is None:
            return DONE
        plan = plan_claim(claim, self._see(claim))
        for said in plan.said:
            changed = plan.phase != get_path(claim, "status", "phase")
            if plan.phase == "Lost" and not changed:
                continue  # told when it was lost
            say = self._events.warning if said.warning else self._events.normal
            say(claim, said.reason, said.message)
        if plan.bind is not None:
            await self._bind(plan.bind, claim)
        else:
            await self._leave(claim, plan)
        return DONE

    def _see(self, claim: Obj) -> Seen:
        node = annotations(claim).get(SELECTED_NODE, "")
        pods = self._pods.by_index(BY_CLAIM, str(key_of(claim)))
        named = get_path(claim, "spec", "volumeName", default="")
        fit = self._volumes.by_index(BY_CLASS, class_of(claim))
        candidates = [*fit, *self._volumes.by_index(BY_CLAIM_REF, str(key_of(claim)))]
        return Seen(
            volume=self._volumes.get(Key("", named)) if named else None,
            candidates=() if named else candidates,
            classes={name(c): c for c in self._classes.list()},
            node=self._nodes.get(Key("", node)) if node else None,
            waiting_pods=[name(p) for p in pods if not node_name(p) and not is_terminal(p)],
        )

    async def _bind(self, volume: Obj, claim: Obj) -> None:
        wanted = bound_volume(volume, claim)
        if wanted is not volume:
            volume = await self._client.update(VOLUME, wanted)
        wanted = with_phase(volume, "Bound", now=format_time(self._clock.now()))
        if wanted is not volume:
            volume = await self._client.update_status(VOLUME, wanted)
        wanted = bound_claim(claim, volume)
        if wanted is not claim:
            claim = await self._client.update(CLAIM, wanted)
        await self._write_status(claim, claim_status(claim, "Bound", volume))
        self._tell_of_growth(claim)

    def _tell_of_growth(self, claim: Obj) -> None:
        """As pkg/controller/volume/expand: no plugin is built in, so others must do it; they
        say so by conditions."""
        has = get_path(claim, "status", "capacity")
        conditions = get_path(claim, "status", "conditions")
        busy = any(find_condition(conditions, c) for c in ("Resizing", "FileSystemResizePending"))
        if has and not busy and asked(claim) > asked({"spec": {"resources": {"requests": has}}}):
            text = "waiting for an external controller to expand this PVC"
            self._events.normal(claim, "ExternalExpanding", text)

    async def _leave(self, claim: Obj, plan: ClaimPlan) -> None:
        changed = claim
        if plan.storage_class:
            spec = {**claim["spec"], "storageClassName": plan.storage_class}
            changed = {**claim, "spec": spec}
        if plan.provisioner and annotations(claim).get(PROVISIONER) != plan.provisioner:
            marks = {BETA_PROVISIONER: plan.provisioner, PROVISIONER: plan.provisioner}
            meta = {**claim["metadata"], "annotations": {**annotations(claim), **marks}}
            changed = {**changed, "metadata": meta}
        if changed is not claim:
            claim = await self._client.update(CLAIM, changed)
        await self._write_status(claim, claim_status(claim, plan.phase, None))

    async def _write_status(self, claim: Obj, status: Obj) -> None:
        if status != (claim.get("status") or {}):
            await self._client.update_status(CLAIM, {**claim, "status": status})


def _placed(old: Obj | None, new: Obj | None) -> bool:
    """Who waits for a claim is told of in its events."""
    return old is None or new is None or node_name(old) != node_name(new)


def build(context: Context) -> VolumeClaims:
    return VolumeClaims(context)
