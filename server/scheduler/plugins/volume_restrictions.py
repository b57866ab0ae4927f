"""VolumeRestrictions: disks and claims that only one pod at a time can have."""

from collections.abc import Mapping

from edgek.api.meta import Obj, get_path
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Prepared, Reasons, Weighing
from server.scheduler.plugins.volume_binding import missing
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot

DISK_CONFLICT = ("node(s) had no available disk",)
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
    "already in-use by another pod",
)

RWOP = "ReadWriteOncePod"

# What makes two disks of a kind one, and the field that lets both be used to read.
_SAME: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "gcePersistentDisk": (("pdName",), True),
    "awsElasticBlockStore": (("volumeID",), False),
    "iscsi": (("iqn",), True),
    "rbd": (("pool", "image"), True),
}


def restrict_volumes(pod: PodInfo) -> Prepared:
    if not pod.has_volumes:
        return None

    def weigh(snapshot: Snapshot) -> Weighing | None:
        storage = snapshot.storage
        for key in pod.claims:
            if (claim := storage.claims.get(key)) is None:
                return Weighing(refused=missing(pod, key))
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
