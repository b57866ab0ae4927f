"""TaintToleration: hard taints keep pods away, soft ones make a node the last choice."""

from edgek.api.taints import PREFER_NO_SCHEDULE, tolerated, untolerated
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Rate, Reasons, Unresolvable
from server.scheduler.pod_info import PodInfo

REASON = Unresolvable(("node(s) had untolerated taint(s)",))


def check_taints(pod: PodInfo) -> Check | None:
    tolerations = pod.spec.get("tolerations") or ()

    def check(node: NodeInfo) -> Reasons:
        if not node.taints or untolerated(node.taints, tolerations) is None:
            return PASS
        return REASON

    return check


def rate_taints(pod: PodInfo) -> Rate | None:
    tolerations = pod.spec.get("tolerations") or ()

    def rate(node: NodeInfo) -> float:
        soft = [t for t in node.taints if t.get("effect") == PREFER_NO_SCHEDULE]
        refused = sum(not tolerated(t, tolerations) for t in soft)
        return 10 / refused if refused else 100

    return rate
