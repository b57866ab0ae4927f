"""VolumeBinding: a pod goes where its volumes are, or where those it still needs can be.

What is wrong with a claim itself refuses the pod on all nodes at once, in the words of
upstream's PreFilter. What is found here for claims that wait for the pod is decided anew, for
the node that was chosen, by ``volume_choice``, and made true by ``volume_binding`` above.
"""

from edgek.api.meta import Key, Obj, get_path, is_deleting, owner_references
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import (
    PASS,
    Check,
    Prepared,
    Reasons,
    Unresolvable,
    Weighing,
)
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot
from server.scheduler.storage import Storage, is_bound, volume_name
from server.scheduler.volume_choice import choose_volumes, reaches

NO_MATCH = Unresolvable(("node(s) didn't find available persistent volumes to bind",))
ELSEWHERE = Unresolvable(("node(s) didn't match PersistentVolume's node affinity",))
GONE = Unresolvable(("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",))
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


def bind_volumes(pod: PodInfo) -> Prepared:
    if not pod.claims:
        return None

    def weigh(snapshot: Snapshot) -> Weighing | None:
        storage = snapshot.storage
        for key in pod.claims:
            if refused := _refused(pod, key, storage):
                return Weighing(refused=refused)
        bound = [key for key in pod.claims if is_bound(storage.claims[key])]
        waiting = [key for key in pod.claims if key not in bound]
        if not all(_may_wait(storage.claims[key], storage) for key in waiting):
            return Weighing(refused=UNBOUND)
        return Weighing(check=_bindable(bound, waiting, storage))

    return weigh


def unbound_claims(pod: PodInfo, storage: Storage) -> list[Key]:
    """The claims that a decision on the pod's node has to see to."""
    return [k for k in pod.claims if (c := storage.claims.get(k)) is None or not is_bound(c)]


def _may_wait(claim: Obj, storage: Storage) -> bool:
    """A claim that names its volume is waited for, whatever its class says."""
    return not volume_name(claim) and storage.waits_for_pod(claim)


def missing(pod: PodInfo, key: Key) -> str:
    """What is said of a claim that is not there."""
    if key.name not in _named(pod):
        return (
            "waiting for ephemeral volume controller to create the persistentvolumeclaim "
            f'"{key.name}"'
        )
    return f'persistentvolumeclaim "{key.name}" not found'


def _named(pod: PodInfo) -> set[str]:
    found = [v.get("persistentVolumeClaim") or {} for v in pod.spec.get("volumes") or ()]
    return {claim.get("claimName") or "" for claim in found}


def _refused(pod: PodInfo, key: Key, storage: Storage) -> str:
    """What is wrong with the claim itself, as podHasPVCs says it; "" where nothing is."""
    claim = storage.claims.get(key)
    if claim is None:
        return missing(pod, key)
    if get_path(claim, "status", "phase") == "Lost":
        return (
            f'persistentvolumeclaim "{key.name}" bound to non-existent persistentvolume '
            f'"{volume_name(claim)}"'
        )
    if is_deleting(claim):
        return f'persistentvolumeclaim "{key.name}" is being deleted'
    if key.name not in _named(pod) and not _made_for(pod, claim):
        return f"PVC {key} was not created for pod {pod.key} (pod is not owner)"
    return ""


def _made_for(pod: PodInfo, claim: Obj) -> bool:
    return any(ref.get("uid") == pod.uid for ref in owner_references(claim))


def _bindable(bound: list[Key], waiting: list[Key], storage: Storage) -> Check:
    volumes = [storage.volume_of(key) for key in bound]

    def check(node: NodeInfo) -> Reasons:
        if None in volumes:
            return GONE
        if not all(reaches(volume, node) for volume in volumes if volume is not None):
            return ELSEWHERE
        return PASS if not waiting or choose_volumes(waiting, node, storage) else NO_MATCH

    return check
