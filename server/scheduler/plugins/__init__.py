"""The plugins, in the order and with the weights of upstream's default profile.

A node is refused by the first filter with a reason. DaemonSet pods and others that name their
node in ``nodeAffinity.matchFields`` meet the filters on that node only; pods with
``spec.nodeName`` never come here.
"""

from server.scheduler.plugins.image_locality import rate_images
from server.scheduler.plugins.node_affinity import check_affinity, rate_preferences
from server.scheduler.plugins.plugin import Change, ClusterPlugin, Filter, Score
from server.scheduler.plugins.ports import check_ports
from server.scheduler.plugins.resources import check_resources, rate_balance, rate_free
from server.scheduler.plugins.spread import rate_group, spread_constraints
from server.scheduler.plugins.taints import check_taints, rate_taints
from server.scheduler.plugins.unschedulable import check_unschedulable

FILTERS: tuple[Filter, ...] = (
    Filter(name="NodeUnschedulable", prepare=check_unschedulable),
    Filter(name="TaintToleration", prepare=check_taints),
    Filter(name="NodeAffinity", prepare=check_affinity),
    Filter(name="NodePorts", prepare=check_ports, helped_by=Change.NODE | Change.POD_GONE),
    Filter(
        name="NodeResourcesFit",
        prepare=check_resources,
        helped_by=Change.NODE | Change.POD_GONE,
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

CLUSTER: tuple[ClusterPlugin, ...] = (
    ClusterPlugin(name="PodTopologySpread", weight=2, prepare=spread_constraints),
)
