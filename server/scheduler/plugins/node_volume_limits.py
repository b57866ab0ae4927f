"""NodeVolumeLimits: a node's driver can attach so many volumes, as its CSINode says."""

from collections.abc import Iterable

from edgek.api.meta import Key, Obj, get_path
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Prepared, Reasons, Weighing
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot
from server.scheduler.storage import Storage, class_name

TOO_MANY = ("node(s) exceed max volume count",)


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


def _attached(keys: Iterable[Key], storage: Storage) -> set[tuple[str, str]]:
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
