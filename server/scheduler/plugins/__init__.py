"""The plugins, in the order and with the weights of upstream's default profile.

A node is refused by the first filter with a reason. DaemonSet pods and others that name their
node in ``nodeAffinity.matchFields`` meet the filters on that node only; pods with
``spec.nodeName`` never come here. ``helped_by`` says which changes can turn a plugin's refusal:
only for those is a pod that it refused tried again.
"""

from server.scheduler.changes import NODE, Change
from server.scheduler.plugins.default_spread import rate_group
from server.scheduler.plugins.image_locality import rate_images
from server.scheduler.plugins.inter_pod_affinity import inter_pod_affinity
from server.scheduler.plugins.node_affinity import check_affinity, rate_preferences
from server.scheduler.plugins.node_name import check_name
from server.scheduler.plugins.node_volume_limits import limit_volumes
from server.scheduler.plugins.plugin import ClusterPlugin, Filter, Score
from server.scheduler.plugins.ports import check_ports
from server.scheduler.plugins.resources import check_resources, rate_balance, rate_free
from server.scheduler.plugins.spread import spread_constraints
from server.scheduler.plugins.taints import check_taints, rate_taints
from server.scheduler.plugins.unschedulable import check_unschedulable
from server.scheduler.plugins.volume_binding import bind_volumes
from server.scheduler.plugins.volume_restrictions import restrict_volumes
from server.scheduler.plugins.volume_zone import match_zones

NEW, LABELS, TAINTS, ROOM = (
    Change.NODE_ADDED,
    Change.NODE_LABELS,
    Change.NODE_TAINTS,
    Change.NODE_ROOM,
)
GONE, PLACED, SPACE = Change.POD_GONE, Change.POD_PLACED, Change.NAMESPACE
CLAIM, VOLUME, CLASS, DRIVER = Change.CLAIM, Change.VOLUME, Change.CLASS, Change.DRIVER

FILTERS: tuple[Filter, ...] = (
    Filter(name="NodeUnschedulable", prepare=check_unschedulable, helped_by=NEW | TAINTS),
    Filter(name="NodeName", prepare=check_name, helped_by=NEW),
    Filter(name="TaintToleration", prepare=check_taints, helped_by=NEW | TAINTS),
    Filter(name="NodeAffinity", prepare=check_affinity, helped_by=NEW | LABELS),
    Filter(name="NodePorts", prepare=check_ports, helped_by=NEW | GONE),
    Filter(name="NodeResourcesFit", prepare=check_resources, helped_by=NEW | ROOM | GONE),
)

CLUSTER: tuple[ClusterPlugin, ...] = (
    ClusterPlugin(
        name="VolumeRestrictions", prepare=restrict_volumes, helped_by=NEW | GONE | CLAIM
    ),
    ClusterPlugin(
        name="NodeVolumeLimits",
        prepare=limit_volumes,
        helped_by=NEW | GONE | CLAIM | VOLUME | DRIVER,
    ),
    ClusterPlugin(
        name="VolumeBinding",
        prepare=bind_volumes,
        helped_by=NEW | LABELS | CLAIM | VOLUME | CLASS | DRIVER,
    ),
    ClusterPlugin(
        name="VolumeZone", prepare=match_zones, helped_by=NEW | LABELS | CLAIM | VOLUME | CLASS
    ),
    ClusterPlugin(
        name="PodTopologySpread",
        weight=2,
        prepare=spread_constraints,
        helped_by=NODE | GONE | PLACED,
    ),
    ClusterPlugin(
        name="InterPodAffinity",
        weight=2,
        prepare=inter_pod_affinity,
        helped_by=NEW | LABELS | GONE | PLACED | SPACE,
    ),
)

SCORES: tuple[Score, ...] = (
    Score(name="TaintToleration", weight=3, prepare=rate_taints),
    Score(name="NodeAffinity", weight=2, prepare=rate_preferences),
    Score(name="NodeResourcesFit", weight=1, prepare=rate_free),
    Score(name="PodTopologySpread", weight=4, prepare=rate_group),
    Score(name="NodeResourcesBalancedAllocation", weight=1, prepare=rate_balance),
    Score(name="ImageLocality", weight=1, prepare=rate_images),
)
