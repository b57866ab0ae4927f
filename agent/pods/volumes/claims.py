"""From a pod's volume to what is mounted: a claim leads to its PersistentVolume. Pure.

As desired_state_of_world_populator.go getPVCExtractPV and getPVSpec; the sentences are the
kubelet's. Claims and volumes are watched singly (``agent/pods/sources.py``) and remembered in the
checkpoint, so that this works with no server in reach.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agent.pods.sources import Lookup
from agent.pods.volumes.plugin import VolumeError
from edgek.api.meta import Key, Obj, get_path, is_deleting, labels, name, namespace, uid
from edgek.api.node_selector import parse_term
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM

NOT_SOURCES = frozenset((
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity",
    "persistentVolumeReclaimPolicy", "storageClassName", "volumeAttributesClassName", "volumeMode",
))  # fmt: skip
"""Fields of a PersistentVolume's spec that name no type."""
SINGLE = "ReadWriteOncePod"


class Resolved(NamedTuple):
    type: str
    source: Obj
    read_only: bool
    claim: Obj | None = None
    volume: Obj | None = None


def volume_type(volume: Mapping[str, object]) -> str:
    """As the API has it, a volume that says nothing is an emptyDir."""
    return next((k for k in volume if k != "name"), "emptyDir")


def claim_key(pod: Obj, volume: Obj) -> Key | None:
    """The claim that a pod's volume goes through; as ephemeral.VolumeClaimName."""
    if "ephemeral" in volume:
        return Key(namespace(pod), f"{name(pod)}-{volume['name']}")
    claimed = get_path(volume, "persistentVolumeClaim", "claimName")
    return Key(namespace(pod), claimed) if claimed else None


def resolve(pod: Obj, volume: Obj, lookup: Lookup) -> Resolved:
    """Raises VolumeError while the claim cannot be used, NotSynced while that is not known."""
    key = claim_key(pod, volume)
    if key is None:
        kind = volume_type(volume)
        source = volume.get(kind) or {}
        return Resolved(kind, source, bool(source.get("readOnly")))
    try:
        return _through_claim(pod, volume, key, lookup)
    except VolumeError as err:
        raise VolumeError(f"error processing PVC {key.namespace}/{key.name}: {err}") from err


def _through_claim(pod: Obj, volume: Obj, key: Key, lookup: Lookup) -> Resolved:
    claim = lookup(CLAIM, key.namespace, key.name)
    if claim is None:
        text = f'persistentvolumeclaim "{key.name}" not found'
        raise VolumeError(f"failed to fetch PVC from API server: {text}")
    if "ephemeral" in volume and not _is_owned_by(claim, pod):
        raise VolumeError(f"PVC {key.namespace}/{key.name} was not created for pod "
                          f"{namespace(pod)}/{name(pod)} (pod is not owner)")  # fmt: skip
    if is_deleting(claim):
        raise VolumeError("PVC is being deleted")
    bound_to = get_path(claim, "spec", "volumeName", default="")
    if get_path(claim, "status", "phase") != "Bound" or not bound_to:
        raise VolumeError("PVC is not bound")
    found = lookup(VOLUME, "", bound_to)
    if found is None:
        text = f'persistentvolumes "{bound_to}" not found'
        raise VolumeError(f"failed to fetch PV {bound_to} from API server: {text}")
    bound_by = get_path(found, "spec", "claimRef", "uid", default="")
    if bound_by != uid(claim):
        raise VolumeError(f'found PV object {bound_to} with unexpected claimRef UID "{bound_by}", '
                          f'expected "{uid(claim)}"')  # fmt: skip
    kind = next((k for k in found["spec"] if k not in NOT_SOURCES), "")
    source = found["spec"].get(kind) or {}
    asked = get_path(volume, "persistentVolumeClaim", "readOnly", default=False)
    return Resolved(kind, source, bool(asked or source.get("readOnly")), claim, found)


def _is_owned_by(claim: Obj, pod: Obj) -> bool:
    owners = get_path(claim, "metadata", "ownerReferences", default=())
    return any(ref.get("controller") and ref.get("uid") == uid(pod) for ref in owners)


def matches_node(volume: Obj, node: Obj | None) -> bool:
    """As volumeutil.CheckNodeAffinity; nothing is held against it where the node is not known."""
    terms = get_path(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
    if terms is None or node is None:
        return True
    return any(parse_term(term)(name(node), labels(node)) for term in terms)


def holder(key: Key, pods: Iterable[Obj]) -> str:
    """The uid of the first of the pods that has the claim among its volumes, "" for none."""
    for pod in pods:
        if any(claim_key(pod, v) == key for v in get_path(pod, "spec", "volumes", default=())):
            return uid(pod)
    return ""


def is_single(volume: Obj | None) -> bool:
    """Whether one pod alone may have the PersistentVolume."""
    return SINGLE in get_path(volume, "spec", "accessModes", default=()) if volume else False


def how_used(pod: Obj, volume_name: str) -> Iterator[str]:
    """``volumeMounts`` and ``volumeDevices``, as often as containers name the volume there."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in get_path(pod, "spec", group, default=None) or ():
            for field in ("volumeMounts", "volumeDevices"):
                named = (m["name"] for m in container.get(field) or ())
                yield from (field for n in named if n == volume_name)


def check_mode(pod: Obj, volume_name: str, volume: Obj) -> None:
    """As checkVolumeFSType's caller: a device cannot be mounted, a file system is no device."""
    mode = get_path(volume, "spec", "volumeMode") or "Filesystem"
    wrong = "volumeMounts" if mode == "Block" else "volumeDevices"
    if wrong in how_used(pod, volume_name):
        raise VolumeError(
            f"volume {volume_name} has volumeMode {mode}, but is specified in {wrong}"
        )
