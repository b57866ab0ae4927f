"""NodeName: a pod that says its node is for no other.

Such a pod never waits here, as it is bound already; the filter is for whoever asks whether a
placed pod could be where it is.
"""

from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Reasons, Unresolvable
from server.scheduler.pod_info import PodInfo

REASON = Unresolvable(("node(s) didn't match the requested node name",))


def check_name(pod: PodInfo) -> Check | None:
    wanted = pod.spec.get("nodeName")
    if not wanted:
        return None

    def check(node: NodeInfo) -> Reasons:
        return PASS if node.name == wanted else REASON

    return check
