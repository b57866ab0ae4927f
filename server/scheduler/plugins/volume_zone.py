"""VolumeZone: volumes that say by labels in which zones they are want their pod there."""

from edgek.api.meta import Obj, labels
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

OTHER_ZONE = Unresolvable(("node(s) had no available volume zone",))

_BETA = "failure-domain.beta.kubernetes.io/"
ZONE_LABELS = {
    "topology.kubernetes.io/zone": _BETA + "zone",
    "topology.kubernetes.io/region": _BETA + "region",
}
_ZONES = {**ZONE_LABELS, **{beta: stable for stable, beta in ZONE_LABELS.items()}}


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
