"""What is to be done for a claim, for a volume, and with a volume whose claim is gone; pure.

As pkg/controller/volume/persistentvolume syncClaim, syncVolume and reclaimVolume. Every outcome
is a value; ``volume_claims`` and ``volumes`` write it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgek.api.meta import Obj, annotations, get_path, name, uid
from edgek.kinds.storage_checks import BETA_CLASS, class_of
from edgek.kinds.storage_class import BETA_DEFAULT_CLASS, DEFAULT_CLASS
from edgek.kinds.volume_match import (
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    SELECTED_NODE,
    best_match,
    claim_ref,
    has_completed,
    is_for,
    mismatch,
)

IN_TREE = "kubernetes.io/"


@dataclass(frozen=True, kw_only=True)
class Said:
    """An event."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class ClaimPlan:
    """``bind`` to this volume; else be of ``phase``. ``storage_class``, ``provisioner``: to be
    written on the claim."""

    bind: Obj | None = None
    phase: str = ""
    storage_class: str = ""
    provisioner: str = ""
    said: Sequence[Said] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is for one claim: the volume it names, those that it could have (of its class,
    or that name it), the classes by name, its node, and the pods that wait for it."""

    volume: Obj | None = None
    candidates: Sequence[Obj] = ()
    classes: Mapping[str, Obj]
    node: Obj | None = None
    waiting_pods: Sequence[str] = ()


def plan_claim(claim: Obj, seen: Seen) -> ClaimPlan:
    """Two runs on the same input are equal: among volumes that are alike names decide."""
    wanted = get_path(claim, "spec", "volumeName", default="")
    volume = seen.volume
    if has_completed(claim):
        return _completed(claim, wanted, volume)
    if not wanted:
        return _search(claim, seen)
    if volume is None:
        return ClaimPlan(phase="Pending")
    if claim_ref(volume) is None:
        if why := mismatch(volume, claim):
            text = f'Cannot bind to requested volume "{wanted}": {why}'
            return _pending(Said(reason="VolumeMismatch", message=text, warning=True))
        return ClaimPlan(bind=volume)
    if is_for(volume, claim):
        return ClaimPlan(bind=volume)
    text = f'volume "{wanted}" already bound to a different claim.'
    return _pending(Said(reason="FailedBinding", message=text, warning=True))


def _completed(claim: Obj, wanted: str, volume: Obj | None) -> ClaimPlan:
    if not wanted:
        return _lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. "
                     "Data on the volume is lost!")  # fmt: skip
    if volume is None:
        return _lost("ClaimLost", "Bound claim has lost its PersistentVolume. "
                     "Data on the volume is lost!")  # fmt: skip
    ref = claim_ref(volume)
    if ref is None or ref.get("uid") == uid(claim):
        return ClaimPlan(bind=volume)
    return _lost("ClaimMisbound", "Two claims are bound to the same volume, "
                 "this one is bound incorrectly")  # fmt: skip


def _lost(reason: str, message: str) -> ClaimPlan:
    return ClaimPlan(phase="Lost", said=(Said(reason=reason, message=message, warning=True),))


def _pending(*said: Said) -> ClaimPlan:
    return ClaimPlan(phase="Pending", said=said)


def waits_for_pod(claim: Obj, classes: Mapping[str, Obj]) -> bool:
    """Its class wants the pod's node to be known first, and it is not; as shouldDelayBinding."""
    if SELECTED_NODE in annotations(claim):
        return False
    found = classes.get(class_of(claim))
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _search(claim: Obj, seen: Seen) -> ClaimPlan:
    waits = waits_for_pod(claim, seen.classes)
    # Of a chosen node that is gone nobody knows which volumes reach it.
    gone = SELECTED_NODE in annotations(claim) and seen.node is None
    found = best_match(claim, seen.candidates, only_named=waits or gone, node=seen.node)
    if found is not None:
        return ClaimPlan(bind=found)
    # A claim that was made before there was a default class gets it afterwards.
    unset = get_path(claim, "spec", "storageClassName") is None
    if unset and BETA_CLASS not in annotations(claim) and (default := default_class(seen.classes)):
        return ClaimPlan(phase="Pending", storage_class=default)
    if waits:
        return _pending(_waiting(seen.waiting_pods))
    if class_of(claim):
        return _provision(claim, seen.classes)
    text = "no persistent volumes available for this claim and no storage class is set"
    return _pending(Said(reason="FailedBinding", message=text))


def default_class(classes: Mapping[str, Obj]) -> str:
    """As GetDefaultClass: the newest of those marked, by name among equals; "" for none."""
    marked = [
        (c["metadata"].get("creationTimestamp") or "", name(c))
        for c in classes.values()
        if "true" in (annotations(c).get(DEFAULT_CLASS), annotations(c).get(BETA_DEFAULT_CLASS))
    ]
    newest = max((created for created, _ in marked), default="")
    return min((of for created, of in marked if created == newest), default="")


def _waiting(pods: Sequence[str]) -> Said:
    """As emitEventForUnboundDelayBindingClaim."""
    if not pods:
        text = "waiting for first consumer to be created before binding"
        return Said(reason="WaitForFirstConsumer", message=text)
    many = "s" if len(pods) > 1 else ""
    text = f"waiting for pod{many} {','.join(sorted(pods))} to be scheduled"
    return Said(reason="WaitForPodScheduled", message=text)


def _provision(claim: Obj, classes: Mapping[str, Obj]) -> ClaimPlan:
    found = classes.get(class_of(claim))
    if found is None:
        text = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
        return _pending(Said(reason="ProvisioningFailed", message=text, warning=True))
    provisioner = found.get("provisioner") or ""
    if provisioner.startswith(IN_TREE):
        text = f"no volume plugin matched name: {provisioner}"
        return _pending(Said(reason="ProvisioningFailed", message=text, warning=True))
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' "
        "or manually by the system administrator. If volume creation is delayed, please verify "
        "that the provisioner is running and correctly registered."
    )
    said = (Said(reason="ExternalProvisioning", message=text),)
    return ClaimPlan(phase="Pending", provisioner=provisioner, said=said)


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """``unbind`` first; then be of ``phase``, for the reason ``said`` gives where it has one.
    An empty phase leaves all as it is."""

    phase: str = ""
    unbind: bool = False
    said: Said | None = None


def plan_volume(volume: Obj, claim: Obj | None) -> VolumePlan:
    """``claim`` is the one that the volume names, by uid where it has one; None: it is gone."""
    ref = claim_ref(volume)
    if ref is None or not ref.get("uid"):
        return VolumePlan(phase="Available")
    if claim is None:
        return plan_reclaim(volume)
    bound_to = get_path(claim, "spec", "volumeName", default="")
    if bound_to == name(volume):
        return VolumePlan(phase="Bound")
    if not bound_to:  # the claim's side is written by who binds claims
        return VolumePlan()
    if PROVISIONED_BY in annotations(volume) and _policy(volume) == "Delete":
        return plan_reclaim(volume)  # made for the claim, which has another one
    return VolumePlan(phase="Available", unbind=True)


def _policy(volume: Obj) -> str:
    return str(get_path(volume, "spec", "persistentVolumeReclaimPolicy", default="Retain"))


def plan_reclaim(volume: Obj) -> VolumePlan:
    """Released, for who provisioned it to delete; Failed where nobody can."""
    policy = _policy(volume)
    if policy == "Retain" or (policy == "Delete" and _has_deleter(volume)):
        return VolumePlan(phase="Released")
    reason, message = {
        "Delete": ("VolumeFailedDelete", "error getting deleter volume plugin for volume "
                   f'"{name(volume)}": no deletable volume plugin matched'),
        "Recycle": ("VolumeFailedRecycle", "No recycler plugin found for the volume!"),
    }.get(policy, ("VolumeUnknownReclaimPolicy",
                   "Volume has an unrecognized PersistentVolumeReclaimPolicy"))  # fmt: skip
    return VolumePlan(phase="Failed", said=Said(reason=reason, message=message, warning=True))


def _has_deleter(volume: Obj) -> bool:
    """As findDeletablePlugin, where no plugin is built in: whoever provisioned it deletes it."""
    provisioner = annotations(volume).get(PROVISIONED_BY, "")
    if provisioner:
        return not provisioner.startswith(IN_TREE)
    return get_path(volume, "spec", "csi") is not None


def released_ref(volume: Obj) -> Obj | None:
    """The claimRef after unbinding: what people wrote stays; as unbindVolume."""
    ref = claim_ref(volume)
    if ref is None or BOUND_BY_CONTROLLER in annotations(volume):
        return None
    return {k: v for k, v in ref.items() if k not in ("uid", "resourceVersion")}
