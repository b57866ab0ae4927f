"""VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone: where a pod's storage is.

They look at pods that name claims (or disks) only. What is wrong with a claim itself refuses
the pod on all nodes at once, in the words of upstream's PreFilter.
"""

from collections.abc import Mapping
from typing import Any

from edgek.api.meta import Key, Obj, get_path, is_deleting, labels, owner_references
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Prepared, Reasons, Unresolvable, Weighing
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot
from server.scheduler.storage import Storage, class_name, is_bound, volume_name
from server.scheduler.volume_choice import choose_volumes, reaches

DISK_CONFLICT = ("node(s) had no available disk",)
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
    "already in-use by another pod",
)
TOO_MANY = ("node(s) exceed max volume count",)
NO_MATCH = Unresolvable(("node(s) didn't find available persistent volumes to bind",))
ELSEWHERE = Unresolvable(("node(s) didn't match PersistentVolume's node affinity",))
GONE = Unresolvable(("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",))
OTHER_ZONE = Unresolvable(("node(s) had no available volume zone",))
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"

RWOP = "ReadWriteOncePod"
_BETA = "failure-domain.beta.kubernetes.io/"
ZONE_LABELS = {
    "topology.kubernetes.io/zone": _BETA + "zone",
    "topology.kubernetes.io/region": _BETA + "region",
}
_ZONES = {**ZONE_LABELS, **{beta: stable for stable, beta in ZONE_LABELS.items()}}

# What makes two disks of a kind one, and the field that lets both be used to read.
_SAME: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "gcePersistentDisk": (("pdName",), True),
    "awsElasticBlockStore": (("volumeID",), False),
    "iscsi": (("iqn",), True),
    "rbd": (("pool", "image"), True),
}


# VolumeRestrictions


def restrict_volumes(pod: PodInfo) -> Prepared:
    if not pod.has_volumes:
        return None

    def weigh(snapshot: Snapshot) -> Weighing | None:
        storage = snapshot.storage
        for key in pod.claims:
            if (claim := storage.claims.get(key)) is None:
                return Weighing(refused=_missing(pod, key))
            if (
                RWOP in get_path(claim, "spec", "accessModes", default=[])
                and key in snapshot.claims
            ):
                return Weighing(check=lambda node: IN_USE)
        return Weighing(check=_disks_free(pod)) if pod.disks else None

    return weigh


def _disks_free(pod: PodInfo) -> Check:
    def check(node: NodeInfo) -> Reasons:
        others = [disk for other in node.pods.values() for disk in other.disks]
        clash = any(_conflict(mine, other) for mine in pod.disks for other in others)
        return DISK_CONFLICT if clash else PASS

    return check


def _conflict(mine: Obj, other: Obj) -> bool:
    for kind, (fields, may_read) in _SAME.items():
        if (a := mine.get(kind)) and (b := other.get(kind)):
            same = all(a.get(field) == b.get(field) for field in fields)
            if kind == "rbd":
                same = same and bool(set(a.get("monitors") or ()) & set(b.get("monitors") or ()))
            if same and not (may_read and a.get("readOnly") and b.get("readOnly")):
                return True
    return False


# NodeVolumeLimits


def limit_volumes(pod: PodInfo) -> Prepared:
    if not pod.claims:
        return None

    def weigh(snapshot: Snapshot) -> Weighing | None:
        storage = snapshot.storage
        if not storage.drivers:
            return None
        wanted = _attached(pod.claims, storage)
        return Weighing(check=_room_for(wanted, storage)) if wanted else None

    return weigh


def _room_for(wanted: set[tuple[str, str]], storage: Storage) -> Check:
    def check(node: NodeInfo) -> Reasons:
        limits = _limits(storage.drivers.get(node.name))
        if not limits:
            return PASS
        there = _attached(node.claims, storage)
        for driver in {driver for driver, _ in wanted - there}:
            number = sum(d == driver for d, _ in wanted | there)
            if driver in limits and number > limits[driver]:
                return TOO_MANY
        return PASS

    return check


def _limits(csi_node: Obj | None) -> dict[str, int]:
    found = get_path(csi_node, "spec", "drivers", default=[])
    counts = {d["name"]: get_path(d, "allocatable", "count") for d in found}
    return {driver: count for driver, count in counts.items() if count is not None}


def _attached(keys: Any, storage: Storage) -> set[tuple[str, str]]:
    """Driver and handle of each; a claim without a volume counts by the driver to make one."""
    out: set[tuple[str, str]] = set()
    for key in keys:
        volume = storage.volume_of(key)
        if volume is not None:
            if csi := get_path(volume, "spec", "csi"):
                out.add((csi["driver"], csi["volumeHandle"]))
        elif (claim := storage.claims.get(key)) is not None:
            found = storage.classes.get(class_name(claim)) or {}
            if driver := found.get("provisioner"):
                out.add((driver, str(key)))
    return out


# VolumeBinding


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


def _missing(pod: PodInfo, key: Key) -> str:
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
        return _missing(pod, key)
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


# VolumeZone


def match_zones(pod: PodInfo) -> Prepared:
    if not pod.claims:
        return None

    def weigh(snapshot: Snapshot) -> Weighing | None:
        volumes = [v for key in pod.claims if (v := snapshot.storage.volume_of(key)) is not None]
        wanted = [pair for volume in volumes for pair in _zones(volume)]
        return Weighing(check=_in_zone(wanted)) if wanted else None

    return weigh


def _zones(volume: Obj) -> list[tuple[str, frozenset[str]]]:
    """As volumehelpers.LabelZonesToSet: several zones are joined by two underscores."""
    found = labels(volume)
    return [(key, frozenset(found[key].split("__"))) for key in _ZONES if key in found]


def _in_zone(wanted: list[tuple[str, frozenset[str]]]) -> Check:
    def check(node: NodeInfo) -> Reasons:
        if not any(key in node.labels for key in _ZONES):
            return PASS
        for key, values in wanted:
            if node.labels.get(key, node.labels.get(_ZONES[key])) not in values:
                return OTHER_ZONE
        return PASS

    return check
