"""NodeUnschedulable: cordoned nodes take no pods but those that tolerate it."""

from edgek.api.taints import NO_SCHEDULE, UNSCHEDULABLE, tolerated
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Reasons, Unresolvable
from server.scheduler.pod_info import PodInfo

REASON = Unresolvable(("node(s) were unschedulable",))
_TAINT = {"key": UNSCHEDULABLE, "effect": NO_SCHEDULE}


def check_unschedulable(pod: PodInfo) -> Check | None:
    if tolerated(_TAINT, pod.spec.get("tolerations") or ()):
        return None

    def check(node: NodeInfo) -> Reasons:
        return REASON if node.unschedulable else PASS

    return check
