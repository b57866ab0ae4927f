"""NodeAffinity: nodeSelector and affinity to nodes, required and preferred."""

from edgek.api.meta import get_path
from edgek.api.node_selector import parse_required, parse_term
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Rate, Reasons, Unresolvable
from server.scheduler.pod_info import PodInfo

REASON = Unresolvable(("node(s) didn't match Pod's node affinity/selector",))
OTHERS = Unresolvable(("node(s) didn't satisfy plugin(s) [NodeAffinity]",))
"""Of the nodes that a pod which names its nodes does not name."""
CONFLICT = "pod affinity terms conflict"
_PREFERRED = ("affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")


def check_affinity(pod: PodInfo) -> Check | None:
    match = parse_required(pod.spec)
    if match is None:
        return None

    def check(node: NodeInfo) -> Reasons:
        return PASS if match(node.name, node.labels) else REASON

    return check


def rate_preferences(pod: PodInfo) -> Rate | None:
    """The share of the preferences' weight that the node has.

    Upstream scales to the best node found instead, which no single node can know.
    """
    preferred = get_path(pod.spec, *_PREFERRED) or ()
    terms = [(p["weight"], parse_term(p.get("preference") or {})) for p in preferred]
    total: int = sum(weight for weight, _ in terms)
    if not total:
        return None

    def rate(node: NodeInfo) -> float:
        met: int = sum(weight for weight, match in terms if match(node.name, node.labels))
        return 100 * met / total

    return rate
