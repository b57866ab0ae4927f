"""PodTopologySpread by default: pods of one controller go to different nodes, and zones.

Upstream's system default constraints, soft ones over hostnames and zones, for pods that have no
constraints of their own. Whose pods belong together is said by their controller.
"""

from collections.abc import Hashable

from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import Rate
from server.scheduler.pod_info import PodInfo

ZONE = "topology.kubernetes.io/zone"
ZONE_WEIGHT = 2


def rate_group(pod: PodInfo) -> Rate | None:
    """Falls with each pod of the group that a node has.

    Upstream compares the counts of all nodes; falling as 1/n orders them the same way and
    needs to see one node only.
    """
    group = pod.group
    if group is None or pod.spec.get("topologySpreadConstraints"):
        return None

    def rate(node: NodeInfo) -> float:
        return 100 / (1 + node.groups[group]) if group in node.groups else 100

    return rate


class GroupZones:
    """How many pods of a group each zone has, and what that is worth to the nodes there.

    Of two zones the emptier gains; as the default constraint over zones, whose counts weigh far
    less than those over nodes. False while there are not two zones to choose from.
    """

    def __init__(self, group: Hashable) -> None:
        self._group = group
        self._known: dict[str, tuple[str, int]] = {}
        self._counts: dict[str, int] = {}
        self._nodes: dict[str, int] = {}

    def __bool__(self) -> bool:
        return len(self._counts) > 1

    def note(self, node: NodeInfo) -> str:
        """The node changed; its zone."""
        zone, number = zone_of(node), node.groups.get(self._group, 0)
        was = self._known.get(node.name)
        if was == (zone, number):
            return zone
        if was is not None:
            self._add(was[0], -was[1], -1)
        self._known[node.name] = (zone, number)
        self._add(zone, number, 1)
        return zone

    def _add(self, zone: str, pods: int, nodes: int) -> None:
        self._counts[zone] = self._counts.get(zone, 0) + pods
        self._nodes[zone] = self._nodes.get(zone, 0) + nodes
        if not self._nodes[zone]:
            del self._nodes[zone], self._counts[zone]

    def worth(self, zone: str) -> float:
        most = max(self._counts.values())
        return ZONE_WEIGHT * 100 * (most - self._counts[zone]) / most if most else 0


def zone_of(node: NodeInfo) -> str:
    return node.labels.get(ZONE, "")


def group_zones(pod: PodInfo) -> GroupZones | None:
    if pod.group is None or pod.spec.get("topologySpreadConstraints"):
        return None
    return GroupZones(pod.group)
